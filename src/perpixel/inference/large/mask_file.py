"""Mask files of any size: GeoTIFF and PNG, written from the top down in one pass."""

from __future__ import annotations

import errno
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import Shaped

from perpixel.data.place import Place
from perpixel.data.raster import CACHE_BYTES, has_rasterio
from perpixel.errors import ConfigError
from perpixel.labels import LabelSpace
from perpixel.whole_file import whole

MaskFormat = Literal["png", "geotiff"]
SUFFIX: dict[MaskFormat, str] = {"png": ".png", "geotiff": ".tif"}
# From (top, height) to these rows of the mask.
Rows = Callable[[int, int], Shaped[np.ndarray, "height W"]]
# GeoTIFFs are tiled in squares of this side; PNGs take as many rows at a time.
BLOCK = 512
# Overviews halve the picture until it is as small as this.
_SMALLEST_OVERVIEW = 256
_PNG_LEVEL = 6


def write_mask_file(
    path: Path,
    kind: MaskFormat,
    rows: Rows,
    size: tuple[int, int],
    labels: LabelSpace,
    place: Place | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a mask: whole, or not at all; the same bytes for the same mask.

    A GeoTIFF is tiled and compressed by deflate; it has the image's coordinate system and
    transform, the ignore index as the value for missing data, the classes' names as tags
    `class_0`, `class_1` … of its band and, up to 8 bits, their colours as its palette, and
    overviews by the most frequent class, each half the size of the one before. A PNG is as
    `Segmentation.png` makes it: a palette, or 16-bit grey.

    Args:
        path: of the file.
        kind: "png" or "geotiff".
        rows: gives rows of the mask; called from the top down.
        size: (H, W).
        labels: what the mask's values mean.
        place: where it lies; None: nowhere.
        progress: called with (rows written, rows in all).

    Raises:
        OutputError: it cannot be written; nothing is left.
        ConfigError: it is a GeoTIFF, and rasterio is not installed.
    """
    report = progress or (lambda done, total: None)
    # The process is not named in it: after a SIGKILL the next run overwrites what was left.
    with whole(path, path.with_name(f".{path.name}.part")) as beside:
        if kind == "png":
            with beside.open("wb") as file:
                _write_png(file, rows, size, labels, report)
        else:
            _write_geotiff(beside, rows, size, labels, place, report)


def check_format(kind: str) -> None:
    """Complain about a form that cannot be written here.

    Raises:
        ConfigError: it is GeoTIFF, and rasterio is not installed.
    """
    if kind == "geotiff" and not has_rasterio():
        raise ConfigError(
            "format",
            found="geotiff, and rasterio is not installed",
            mend="Install it: pip install 'perpixel[rasters]'; or take png",
        )


def _write_geotiff(
    path: Path,
    rows: Rows,
    size: tuple[int, int],
    labels: LabelSpace,
    place: Place | None,
    progress: Callable[[int, int], None],
) -> None:
    check_format("geotiff")
    import rasterio
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    height, width = size
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": np.dtype(labels.mask_dtype).name,
        "nodata": labels.ignore_index,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "BIGTIFF": "IF_SAFER",
    }
    if place is not None:
        profile["transform"] = Affine(*place.transform)
        if place.crs:
            profile["crs"] = rasterio.CRS.from_wkt(place.crs)
    try:
        environment: Any = rasterio.Env
        with (
            environment(GDAL_CACHEMAX=CACHE_BYTES, GDAL_PAM_ENABLED="NO"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **profile) as file:
                if labels.mask_dtype is np.uint8:
                    file.write_colormap(1, _palette(labels))
                names = {f"class_{index}": name for index, name in enumerate(labels.names)}
                file.update_tags(1, **names)
                for top in range(0, height, BLOCK):
                    deep = min(BLOCK, height - top)
                    file.write(rows(top, deep), 1, window=((top, top + deep), (0, width)))
                    progress(top + deep, height)
            factors = _overviews(size)
            if factors:
                with rasterio.open(path, "r+") as file:
                    file.build_overviews(factors, Resampling.mode)
            _check_written(path)
    except RasterioError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise OSError(reason) from None


def _check_written(path: Path) -> None:
    """See that each block is in the file.

    GDAL writes what it still holds when it closes a file, and a full disk is not told then.

    Raises:
        OSError: one is not.
    """
    import rasterio

    end = path.stat().st_size
    with rasterio.open(path) as file:
        for level in (None, *range(len(file.overviews(1)))):
            with rasterio.open(path, overview_level=level) as shrunk:
                blocks = [block for block, _ in shrunk.block_windows(1)]
            for row, column in blocks:
                begin, length = (
                    file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1, ovr=level)
                    for what in ("OFFSET", "SIZE")
                )
                if begin is None or length is None or int(begin) + int(length) > end:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _overviews(size: tuple[int, int]) -> list[int]:
    factors, factor = [], 2
    while -(-max(size) // factor) >= _SMALLEST_OVERVIEW:
        factors.append(factor)
        factor *= 2
    return factors


def _palette(labels: LabelSpace) -> dict[int, tuple[int, int, int, int]]:
    """Colours with their opacity; only what has no label shows what lies below."""
    table = labels.colour_table().tolist()
    return {
        value: (red, green, blue, 0 if value == labels.ignore_index else 255)
        for value, (red, green, blue) in enumerate(table)
    }


def _write_png(
    file: BinaryIO,
    rows: Rows,
    size: tuple[int, int],
    labels: LabelSpace,
    progress: Callable[[int, int], None],
) -> None:
    """PNG specification (third edition), sections 5 and 11; every row has filter type 0: class
    indices are no amounts whose differences would be smaller."""
    height, width = size
    small = labels.mask_dtype is np.uint8
    file.write(b"\x89PNG\r\n\x1a\n")
    depth, colour_type = (8, 3) if small else (16, 0)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    if small:
        _chunk(file, b"PLTE", labels.colour_table().tobytes())
    stored = np.dtype(np.uint8 if small else ">u2")
    packer = zlib.compressobj(_PNG_LEVEL)
    for top in range(0, height, BLOCK):
        deep = min(BLOCK, height - top)
        values = rows(top, deep).astype(stored).view(np.uint8).reshape(deep, -1)
        lines = np.zeros((deep, 1 + values.shape[1]), np.uint8)
        lines[:, 1:] = values
        packed = packer.compress(lines.tobytes())
        if packed:
            _chunk(file, b"IDAT", packed)
        progress(top + deep, height)
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
