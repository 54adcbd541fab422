"""Canvas: one drawing whose colours and truth come from the same strokes.

Shapes are drawn without smoothed edges into a colour picture and a material map, with the same
calls, so the mask is exact to the pixel. Texture, light and camera are added at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from perpixel.labels import LabelSpace

Number = int | float
RGB = tuple[Number, Number, Number]
Point = tuple[Number, Number]

CLASSES = LabelSpace(
    names=("sky", "ground", "tree", "house", "vehicle", "pole"),
    colours=(
        (112, 172, 226),
        (158, 140, 110),
        (62, 132, 62),
        (196, 88, 64),
        (72, 60, 168),
        (242, 202, 60),
    ),
    ignore_index=255,
)


@dataclass(frozen=True)
class Material:
    """How a surface looks: its class, and how strongly fine and coarse grain show on it."""

    label: str
    fine: float
    coarse: float
    furrowed: float = 0.0  # grain that is stretched sideways, as grass and planks seen from afar


MATERIALS: dict[str, Material] = {
    "air": Material("sky", 0.0, 0.0),
    "grass": Material("ground", 0.08, 0.08, 0.12),
    "asphalt": Material("ground", 0.07, 0.04, 0.05),
    "hill": Material("ground", 0.03, 0.05, 0.03),
    "leaves": Material("tree", 0.20, 0.30),
    "bark": Material("tree", 0.15, 0.10),
    "wall": Material("house", 0.06, 0.05),
    "tiles": Material("house", 0.08, 0.04, 0.14),
    "pane": Material("house", 0.02, 0.06),
    "lacquer": Material("vehicle", 0.02, 0.04),
    "glass": Material("vehicle", 0.02, 0.08),
    "steel": Material("pole", 0.04, 0.04),
}
_NUMBER = {name: number for number, name in enumerate(MATERIALS)}
_LABEL = np.asarray([CLASSES.names.index(m.label) for m in MATERIALS.values()], np.uint8)
_GRAIN = np.asarray([(m.fine, m.coarse, m.furrowed) for m in MATERIALS.values()], np.float32)
SENSOR_NOISE = 3.5
LENS_BLUR = 0.45
# Lamp-black silhouettes would be unlike any photograph.
DARKEST = 6.0


class Canvas:
    """A picture in the making.

    Args:
        height, width: its size in pixels.
        rng: where grain and noise come from.
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.height, self.width = height, width
        self.rng = rng
        self.colour: Float32[np.ndarray, "H W 3"] = np.zeros((height, width, 3), np.float32)
        self.material: UInt8[np.ndarray, "H W"] = np.full((height, width), _NUMBER["air"], np.uint8)

    def polygon(self, points: list[Point], colour: RGB, material: str) -> None:
        """Fill a polygon; points are (x, y) in pixels."""
        corners = np.rint(np.asarray(points)).astype(np.int32)[None]
        cv2.fillPoly(self.colour, corners, colour)
        cv2.fillPoly(self.material, corners, (_NUMBER[material],))

    def box(
        self, left: Number, top: Number, right: Number, bottom: Number, colour: RGB, material: str
    ) -> None:
        """Fill a rectangle, both ends included."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, material)

    def disc(
        self, x: Number, y: Number, radius: tuple[Number, Number], colour: RGB, material: str
    ) -> None:
        """Fill an ellipse with half-axes `radius` = (across, down)."""
        centre = (round(x), round(y))
        axes = (max(round(radius[0]), 1), max(round(radius[1]), 1))
        cv2.ellipse(self.colour, centre, axes, 0, 0, 360, colour, cv2.FILLED)
        cv2.ellipse(self.material, centre, axes, 0, 0, 360, (_NUMBER[material],), cv2.FILLED)

    def shadow(self, x: Number, y: Number, radius: tuple[Number, Number], strength: float) -> None:
        """Darken an ellipse, with a soft rim; what lies there stays what it is."""
        across, down = max(radius[0], 1.0), max(radius[1], 1.0)
        top, bottom = max(int(y - down), 0), min(int(y + down) + 2, self.height)
        left, right = max(int(x - across), 0), min(int(x + across) + 2, self.width)
        if top >= bottom or left >= right:
            return
        rows = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)) / down
        columns = (np.arange(left, right, dtype=np.float32)[None] - np.float32(x)) / across
        depth = np.clip(2.0 * (1.0 - rows * rows - columns * columns), 0.0, 1.0)
        self.colour[top:bottom, left:right] *= (1.0 - np.float32(strength) * depth)[..., None]

    def finish(self, light: RGB) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
        """Add grain, light, lens and sensor: the RGB image and its mask of class indices."""
        fine = self.rng.standard_normal((self.height, self.width), np.float32)
        coarse = grain(self.rng, self.height, self.width, (5, 5))
        furrowed = grain(self.rng, self.height, self.width, (2, 14))
        strength = _GRAIN[self.material]
        shade = 1.0 + strength[..., 0] * fine
        shade += strength[..., 1] * coarse
        shade += strength[..., 2] * furrowed
        picture = self.colour * shade[..., None]
        picture *= np.asarray(light, np.float32)
        picture = cv2.GaussianBlur(picture, (3, 3), LENS_BLUR)
        picture += np.float32(SENSOR_NOISE) * self.rng.standard_normal(
            (self.height, self.width, 1), np.float32
        )
        np.clip(picture, DARKEST, 255.0, out=picture)
        return picture.astype(np.uint8), _LABEL[self.material]


def grain(
    rng: np.random.Generator, height: int, width: int, cell: tuple[int, int]
) -> Float32[np.ndarray, "H W"]:
    """Smooth noise of mean 0 and deviation near 1: a lump for every cell of (rows, columns)."""
    rows, columns = height // cell[0] + 2, width // cell[1] + 2
    lumps = rng.standard_normal((rows, columns), np.float32)
    return np.asarray(cv2.resize(lumps, (width, height), interpolation=cv2.INTER_CUBIC))


def mixed(colour: RGB, other: RGB, share: Number) -> RGB:
    """`share` of the other colour in this one."""
    red, green, blue = (a + share * (b - a) for a, b in zip(colour, other, strict=True))
    return red, green, blue
