"""Overlays in the terminal, for those who have no other screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.columns import Columns
from rich.style import Style
from rich.text import Text

from perpixel.cli.console import OUT

if TYPE_CHECKING:
    from perpixel.inference.pictures.half_blocks import HalfBlocks
    from perpixel.inference.segmentation import ClassMask

UPPER_HALF = "▀"


def draw(image: Path, segmentation: ClassMask) -> None:
    """Print the overlay as wide as the terminal, and a legend of its classes.

    A letter in each class's largest region leads to its name in the legend. Where there are no
    colours (a file, NO_COLOR), every character is its class's letter.
    """
    from perpixel.inference.pictures.half_blocks import half_blocks

    picture = half_blocks(segmentation, OUT.width)
    OUT.print(str(image), style="bold", soft_wrap=True)
    if OUT.color_system is None:
        OUT.print("\n".join("".join(row) for row in picture.letters.tolist()), soft_wrap=True)
    else:
        OUT.print(_coloured(picture), soft_wrap=True)
    OUT.print(_legend(picture, segmentation))


def _coloured(picture: HalfBlocks) -> Text:
    text = Text(end="")
    for row, colours in enumerate(picture.colours.tolist()):
        if row:
            text.append("\n")
        for column, (upper, lower) in enumerate(colours):
            if (row, column) in picture.marks:
                letter = picture.letters[row, column]
                text.append(str(letter), Style(color="white", bgcolor="black", bold=True))
            else:
                style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
                text.append(UPPER_HALF, style)
    return text


def _legend(picture: HalfBlocks, segmentation: ClassMask) -> Columns:
    from perpixel.inference.pictures.legend import share_text

    labels, areas = segmentation.labels, segmentation.areas()
    entries = []
    for letter, index in picture.legend:
        name = labels.names[index]
        entry = Text(f"{letter} ")
        entry.append("  ", Style(bgcolor=Color.from_rgb(*labels.colours[index])))
        entry.append(f" {name} {share_text(areas[name])}")
        entries.append(entry)
    return Columns(entries, padding=(0, 3))
