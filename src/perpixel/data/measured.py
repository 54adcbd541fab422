"""Where an image was measured: its file, or one beside it, may say of pixels that they were not."""

from __future__ import annotations

import mmap
from contextlib import closing
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from perpixel.data import tiff
from perpixel.data.header import PILLOW_ERRORS, cannot_be_read
from perpixel.data.raster import RasterSource, has_rasterio
from perpixel.data.source import TIFF_SUFFIXES, reads_as_stored
from perpixel.data.window import measured_where

# What GDAL looks for beside a raster: its mask, and what it cannot write into the file.
_BESIDE = (".msk", ".aux.xml")


def measured_in(
    path: Path, image: Shaped[np.ndarray, "bands H W"]
) -> Bool[np.ndarray, "H W"] | None:
    """Where an image that `read_image` decoded was measured, as its windows would say; None:
    everywhere.

    Args:
        path: the image's file.
        image: its pixels.

    Raises:
        DataError: the file cannot be read.
    """
    raster = _raster_that_may_say(path)
    if raster is None:
        return measured_where(image)
    with closing(raster):
        return raster.measured(image, 0, 0)


def says_what_is_missing(path: Path) -> bool:
    """Whether an image, or a file beside it, says where nothing was measured; that a float may be
    no number is not asked.

    Raises:
        DataError: the file cannot be read.
    """
    raster = _raster_that_may_say(path)
    if raster is None:
        return False
    with closing(raster):
        return raster.says_what_is_missing


def _raster_that_may_say(path: Path) -> RasterSource | None:
    if path.suffix.lower() in TIFF_SUFFIXES and has_rasterio() and _may_say_what_is_missing(path):
        return RasterSource.open(path)
    return None


def _may_say_what_is_missing(path: Path) -> bool:
    """Whether a TIFF that was decoded, or a file beside it, may do so. Most do not, and are spared
    to be opened by GDAL."""
    if not any(path.with_name(path.name + suffix).exists() for suffix in _BESIDE):
        try:
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                try:
                    if not tiff.may_say_what_is_missing(data):
                        return False
                except PILLOW_ERRORS:
                    # Another format under a TIFF's name says nothing of the kind.
                    return False
        except OSError as error:
            raise cannot_be_read(path, error) from None
    return reads_as_stored(path)
