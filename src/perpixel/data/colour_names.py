"""Names for colours that nobody has named: what a class is called until its owner says it."""

from __future__ import annotations

from collections.abc import Sequence

from perpixel.labels import Colour

_NAMED: dict[str, Colour] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "light grey": (192, 192, 192),
    "red": (255, 0, 0),
    "dark red": (128, 0, 0),
    "green": (0, 255, 0),
    "dark green": (0, 128, 0),
    "blue": (0, 0, 255),
    "dark blue": (0, 0, 128),
    "yellow": (255, 255, 0),
    "olive": (128, 128, 0),
    "cyan": (0, 255, 255),
    "teal": (0, 128, 128),
    "magenta": (255, 0, 255),
    "purple": (128, 0, 128),
    "orange": (255, 128, 0),
    "brown": (139, 69, 19),
    "pink": (255, 128, 192),
    "violet": (128, 64, 255),
    "sky blue": (64, 160, 255),
    "lime": (160, 255, 64),
}


def colour_names(colours: Sequence[Colour]) -> tuple[str, ...]:
    """A distinct name for each colour: the nearest named one, and its hexadecimal digits unless
    it is exactly that one."""
    return tuple(_name(colour) for colour in colours)


def _name(colour: Colour) -> str:
    nearest = min(_NAMED, key=lambda name: _distance(_NAMED[name], colour))
    if _NAMED[nearest] == colour:
        return nearest
    red, green, blue = colour
    return f"{nearest} #{red:02x}{green:02x}{blue:02x}"


def _distance(first: Colour, second: Colour) -> int:
    return sum((one - other) ** 2 for one, other in zip(first, second, strict=True))
