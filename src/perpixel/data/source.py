"""Source: an image that is read by windows, so that it never has to be in memory whole."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from perpixel.data import npy, tiff
from perpixel.data.decode import read_image
from perpixel.data.header import PILLOW_ERRORS, SUFFIXES, cannot_be_read, read_header, truncated
from perpixel.data.place import Place
from perpixel.data.raster import RasterSource, has_rasterio
from perpixel.data.window import Window, measured_where, read_as
from perpixel.errors import ConfigError, DataError

TIFF_SUFFIXES = (".tif", ".tiff")
# A NumPy header is much shorter.
_HEADER_BYTES = 1 << 16


@runtime_checkable
class Source(Protocol):
    """An image that is read by windows.

    Attributes:
        path: its file.
        size: (H, W).
        bands: how many; alpha is not counted.
        dtype: uint8, uint16 or float32, as `read` gives.
        place: where it lies on the Earth; None where the file does not say.
        held: bytes of pixels that it keeps in memory for as long as it is open.
    """

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def bands(self) -> int: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    @property
    def place(self) -> Place | None: ...

    @property
    def held(self) -> int: ...

    def read(self, top: int, left: int, height: int, width: int) -> Window:
        """The pixels of a window, which lies within the image.

        Raises:
            DataError: they cannot be read, or some are infinite.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True)
class ArraySource:
    """An array as a source: a decoded image, or a NumPy file that is mapped into memory."""

    path: Path
    pixels: Shaped[np.ndarray, "bands H W"]
    dtype: np.dtype[np.generic]
    held: int
    place: Place | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return int(self.pixels.shape[0])

    def read(self, top: int, left: int, height: int, width: int) -> Window:
        """The pixels of a window."""
        stored = self.pixels[:, top : top + height, left : left + width]
        pixels = read_as(stored, self.dtype, self.path)
        return Window(pixels, measured_where(pixels))

    def close(self) -> None:
        """Nothing: the array goes with the last who knows it."""


def open_source(path: Path, most_bytes: int | None = None) -> Source:
    """Open an image to be read by windows.

    GeoTIFFs and whatever else rasterio opens are read from the disk, window by window; `.npy` files
    are mapped into memory; other images (JPEG, PNG, WebP, BMP, and TIFFs that turn, invert or
    stack what they store) are decoded once, whole.

    Args:
        path: the image's file.
        most_bytes: how large an image may become when it is decoded whole; None: any size.

    Raises:
        DataError: the file is missing, truncated or damaged, is no image, or needs rasterio, which
            is not installed.
        ConfigError: it would be too large when decoded.
    """
    suffix = path.suffix.lower()
    _check_file(path)
    if suffix == ".npy":
        return open_array(path)
    by_windows = reads_as_stored(path) if suffix in TIFF_SUFFIXES else suffix not in SUFFIXES
    if by_windows and (suffix not in TIFF_SUFFIXES or has_rasterio()):
        return RasterSource.open(path)
    header = read_header(path)
    needed = header.height * header.width * header.bands * header.dtype.itemsize
    if most_bytes is not None and needed > most_bytes:
        raise _too_large(path, header.size, needed, most_bytes, by_windows)
    pixels = read_image(path)
    return ArraySource(path, pixels, pixels.dtype, pixels.nbytes)


@dataclass(frozen=True)
class Outline:
    """What an image will be, without its pixels.

    Args:
        size: (H, W).
        bands: how many.
        dtype: uint8, uint16 or float32.
        is_raster: whether it lies on the Earth or says where nothing was measured.
    """

    size: tuple[int, int]
    bands: int
    dtype: np.dtype[np.generic]
    is_raster: bool = False


def _check_file(path: Path) -> None:
    if not path.is_file():
        found = "no such file" if not path.exists() else "not a file"
        raise DataError(path, found=found, mend="Give the path of an image file")


def outline(path: Path) -> Outline:
    """What `open_source` would open; nothing is decoded.

    Raises:
        DataError: as `open_source` does.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES and suffix != ".npy" and not (suffix in TIFF_SUFFIXES and has_rasterio()):
        header = read_header(path)
        return Outline(header.size, header.bands, header.dtype)
    if suffix in TIFF_SUFFIXES and not reads_as_stored(path):
        header = read_header(path)
        return Outline(header.size, header.bands, header.dtype)
    opened = open_source(path)
    try:
        is_raster = isinstance(opened, RasterSource) and (
            opened.place is not None or opened.says_what_is_missing
        )
        return Outline(opened.size, opened.bands, opened.dtype, is_raster or suffix not in SUFFIXES)
    finally:
        opened.close()


def open_array(path: Path) -> ArraySource:
    """Map a NumPy file into memory.

    Raises:
        DataError: it is missing or truncated, or holds no picture of numbers.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            length = os.fstat(file.fileno()).st_size
        if head[: len(npy.MAGIC)] != npy.MAGIC:
            raise ValueError("no NumPy file")
        array = npy.read(head)
    except OSError as error:
        raise cannot_be_read(path, error) from None
    except (ValueError, IndexError) as error:
        raise DataError(
            path,
            found=str(error),
            expected="a NumPy file with an array (H, W), (bands, H, W) or (H, W, bands) of numbers",
            mend="Save it with numpy.save",
        ) from None
    if length < array.start + int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize:
        raise truncated(path)
    order: Literal["F", "C"] = "F" if array.fortran else "C"
    stored = np.memmap(path, array.dtype, "r", array.start, array.shape, order)
    if len(array.shape) == 2:
        pixels = stored[None]
    else:
        pixels = stored.transpose(2, 0, 1) if array.bands_last else stored
    return ArraySource(path, pixels, array.image_type, 0)


def reads_as_stored(path: Path) -> bool:
    """Whether a TIFF's picture is what its first page stores: upright, not inverted, of whole
    bytes. Of other files GDAL sees something else than `read_image` does.

    Raises:
        DataError: the file cannot be read, or is truncated.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise DataError(path, found="no content", mend="Copy or download the file again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                try:
                    pages = tiff.read_bands(data)
                    complete = tiff.is_complete(data)
                except PILLOW_ERRORS:
                    # What is damaged beyond this, GDAL says better.
                    return True
    except OSError as error:
        raise cannot_be_read(path, error) from None
    if not complete:
        raise truncated(path)
    tags = pages[0]
    depth = min(tags.get(tiff.BITS, (1,)))
    photometric = tags.get(tiff.PHOTOMETRIC, tiff.GREY)
    upright = tags.get(tiff.ORIENTATION, 1) == 1
    return len(pages) == 1 and upright and depth >= 8 and photometric not in (0, tiff.CMYK)


def _too_large(
    path: Path, size: tuple[int, int], needed: int, most: int, lacks_rasterio: bool
) -> ConfigError:
    if lacks_rasterio:
        mend = "Install what reads it by windows, pip install 'perpixel[rasters]'"
    else:
        mend = "Write it as a tiled GeoTIFF (gdal_translate -of COG), which is read by windows"
    return ConfigError(
        path,
        found=f"{size[1]}×{size[0]} pixels, {needed / 1e6:,.0f} MB when decoded",
        expected=f"at most {most / 1e6:,.0f} MB, for this format is decoded whole",
        mend=f"{mend}, or allow more memory (--memory)",
    )
