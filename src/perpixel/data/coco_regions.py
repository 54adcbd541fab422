"""The regions of COCO's annotation files: polygons and run-length codes, painted into a mask."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt16

from perpixel.data.decode import read_colours
from perpixel.data.mask_encoding import pack_colour
from perpixel.data.run_lengths import decode_runs
from perpixel.errors import ConfigError, DataError

UNCOVERED = 0


@dataclass(frozen=True)
class CocoMask:
    """The regions of one image, as values.

    Args:
        path: the annotation file, to name it in errors.
        size: the image's height and width.
        regions: [[value, segmentation], ...] as JSON: small, and quick to send to the processes
            that load images.
    """

    path: Path
    size: tuple[int, int]
    regions: bytes

    def read(self) -> UInt16[np.ndarray, "H W"]:
        """The values of the regions, smaller ones over larger ones, and UNCOVERED elsewhere.

        Raises:
            DataError: a region makes no sense.
            ConfigError: there are polygons, and pycocotools is not installed.
        """
        try:
            painted = [
                (value, _pixels(segmentation, self.size))
                for value, segmentation in json.loads(self.regions)
            ]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            found = f"a region that makes no sense ({error})"
            mend = "Export the annotations again"
            raise DataError(self.path, found=found, mend=mend) from None
        mask = np.full(self.size, UNCOVERED, np.uint16)
        for value, pixels in sorted(painted, key=lambda one: -int(one[1].sum())):
            mask[pixels] = value
        return mask


@dataclass(frozen=True)
class PanopticMask:
    """A PNG of COCO's panoptic form: its colours are the numbers of segments.

    Args:
        path: of the PNG.
        segments: the number and the value of each segment, by number.
    """

    path: Path
    segments: tuple[tuple[int, int], ...]

    def read(self) -> UInt16[np.ndarray, "H W"]:
        """The values of the segments, and UNCOVERED where a pixel is in none of them.

        Raises:
            DataError: the PNG cannot be read.
        """
        stored = read_colours(self.path)
        # A number has red as its lowest byte; a packed colour has it highest.
        codes = [
            (pack_colour((number & 255, number >> 8 & 255, number >> 16)), value)
            for number, value in (*self.segments, (0, UNCOVERED))
        ]
        keys, values = (np.array(column) for column in zip(*sorted(codes), strict=True))
        places = np.searchsorted(keys, stored).clip(max=len(keys) - 1)
        mask: UInt16[np.ndarray, "H W"] = values.astype(np.uint16)[places]
        mask[keys[places] != stored] = UNCOVERED
        return mask


def pycocotools_mask(path: Path) -> ModuleType:
    """The module that knows which pixels a polygon of COCO covers.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError:
        raise ConfigError(
            path,
            found="COCO's polygons, for which pycocotools is needed",
            mend="Run `pip install perpixel[coco]`",
        ) from None
    module: ModuleType = mask
    return module


def _pixels(segmentation: Any, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"a region of the size {segmentation['size']} in {list(size)}")
        return decode_runs(segmentation["counts"], size)
    pixels = np.zeros(size, np.bool_)
    # Fewer than three corners have no area, and pycocotools takes four numbers for a box.
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
    if polygons:
        for code in pycocotools_mask(Path("polygon")).frPyObjects(polygons, *size):
            pixels |= decode_runs(code["counts"], size)
    return pixels
