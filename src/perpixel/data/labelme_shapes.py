"""The shapes of a labelme file, painted into a mask as labelme itself does."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16
from PIL import Image, ImageDraw

from perpixel.data.header import PILLOW_ERRORS
from perpixel.errors import DataError

# Names that labelme gives a meaning, and their values.
IGNORE, BACKGROUND = "__ignore__", "_background_"
UNCOVERED, IGNORE_VALUE = 0, 65_535
# Shapes with an area; lines and points have none.
AREAS = ("polygon", "rectangle", "circle", "mask")
_LINES = ("line", "linestrip", "point", "points")


@dataclass(frozen=True)
class LabelmeMask:
    """The shapes in a labelme file, as values.

    Args:
        path: of the file.
        values: the value of each label.
    """

    path: Path
    values: tuple[tuple[str, int], ...]

    def read(self) -> UInt16[np.ndarray, "H W"]:
        """The values of the shapes, later ones over earlier ones, and UNCOVERED elsewhere.

        Raises:
            DataError: the file cannot be read, or a shape makes no sense.
        """
        content, values = read_labelme(self.path), dict(self.values)
        # A Pillow picture of mode I;16 cannot be drawn into.
        size = int(content["imageWidth"]), int(content["imageHeight"])
        picture = Image.new("I", size, UNCOVERED)
        draw = ImageDraw.Draw(picture)
        for place, shape in enumerate(content["shapes"]):
            try:
                _paint(picture, draw, shape, values[shape["label"]])
            except (KeyError, TypeError, IndexError, *PILLOW_ERRORS) as error:
                found = f"shapes.{place} makes no sense ({error!r})"
                mend = "Draw the shape again"
                raise DataError(self.path, found=found, mend=mend) from None
        return np.asarray(picture).astype(np.uint16)


def read_labelme(path: Path) -> dict[str, Any]:
    """The content of a labelme file.

    Raises:
        DataError: it cannot be read, or is no labelme file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = f"cannot be read ({error})"
        raise DataError(path, found=found, mend="Save it again with labelme") from None
    keys = ("shapes", "imagePath", "imageHeight", "imageWidth")
    missing = [key for key in keys if not isinstance(content, dict) or content.get(key) is None]
    if missing:
        found = f"no {', '.join(missing)}"
        mend = "Save it again with labelme, or leave it out"
        raise DataError(path, found=found, expected="a labelme file", mend=mend)
    for place, shape in enumerate(content["shapes"]):
        if not isinstance(shape, dict) or not {"label", "points"} <= shape.keys():
            found, mend = f"shapes.{place} has no label or no points", "Draw the shape again"
            raise DataError(path, found=found, mend=mend)
    return dict(content)


def _paint(
    picture: Image.Image, draw: ImageDraw.ImageDraw, shape: Mapping[str, Any], value: int
) -> None:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "rectangle":
        (left, top), (right, bottom) = points[0], points[1]
        corners = [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]
        draw.rectangle(corners, fill=value, outline=value)
    elif kind == "circle":
        (x, y), (edge_x, edge_y) = points
        radius = math.hypot(x - edge_x, y - edge_y)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=value, outline=value)
    elif kind == "mask":
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
        # labelme writes 0 and 1 as grey: a conversion by Pillow would take both for black.
        stamp = Image.fromarray(stored > 0)
        picture.paste(value, (round(points[0][0]), round(points[0][1])), stamp)
    elif kind == "polygon":
        draw.polygon(points, fill=value, outline=value)
    elif kind not in _LINES:
        raise ValueError(f"a shape of the type {kind!r}")
