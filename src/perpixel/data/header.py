"""What an image file says about itself before it is decoded, and whether all of it is there."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from perpixel.data import exif, npy, tiff
from perpixel.data.complete import COMPLETE, png_chunks
from perpixel.data.inside import bytes_inside
from perpixel.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".npy")
# What Pillow and `struct` raise at bytes that make no sense.
PILLOW_ERRORS = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    OverflowError,
    struct.error,
)
_CLASSES: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_ALPHA = (1, 2)
_TIFF_TYPES = {
    **{(tiff.UNSIGNED, bits): np.uint8 for bits in (1, 2, 4, 8)},
    (tiff.UNSIGNED, 16): np.uint16,
    # Floats hold what a network's input cannot be without: a sign.
    **{(tiff.SIGNED, bits): np.float32 for bits in (8, 16)},
    **{(tiff.FLOAT, bits): np.float32 for bits in (32, 64)},
}
# Pillow's modes that hold one band, and the type it decodes to.
_ONE_BAND = {"1": np.uint8, "L": np.uint8, "LA": np.uint8, "I;16": np.uint16, "I;16B": np.uint16}


@dataclass(frozen=True)
class Header:
    """What an image will be once it is decoded.

    Args:
        format: JPEG, PNG, TIFF, WEBP, BMP or NPY.
        height: in pixels, after the EXIF orientation.
        width: likewise.
        bands: how many; alpha is not counted, a palette counts as its three colours.
        dtype: uint8, uint16 or float32.
        bits: how many bits a band has in the file.
        orientation: the EXIF orientation, 1 to 8.
        alpha: whether an alpha band follows the others.
        wide: whether Pillow is not the one to decode it: 16-bit colour, many bands, plain TIFF.
        no_data: the value that means that nothing was measured, where the file says so; NaN means
            it always.
    """

    format: str
    height: int
    width: int
    bands: int
    dtype: np.dtype[np.generic]
    bits: int
    orientation: int
    alpha: bool
    wide: bool
    no_data: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def read_header(path: Path) -> Header:
    """Read a file's header, and check that the file reaches its own end; no pixel is decoded.

    Raises:
        DataError: the file is missing, truncated, or no image that perpixel reads.
    """
    return parse_header(read_file(path), path)


def read_file(path: Path) -> bytes:
    """The file's bytes, or those at a place inside of a file (see `inside`).

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except (NotADirectoryError, FileNotFoundError) as error:
        # Below a file nothing is a directory; Windows says that nothing is there.
        content = bytes_inside(path)
        if content is not None:
            return content
        raise cannot_be_read(path, error) from None
    except OSError as error:
        raise cannot_be_read(path, error) from None


def parse_header(data: bytes, path: Path) -> Header:
    """The header of an image file's bytes; the path only names it in errors.

    Raises:
        DataError: the bytes are truncated, or no image that perpixel reads.
    """
    kind = format_of(data)
    if kind is None:
        raise _not_an_image(path, "no content" if not data else "no image")
    try:
        complete = COMPLETE[kind](data)
        header = _read(data, kind, path) if complete else None
    except PILLOW_ERRORS:
        complete, header = True, None
    if not complete:
        raise truncated(path)
    if header is None:
        raise _not_an_image(path, f"a {kind} file whose content makes no sense")
    return header


def cannot_be_read(path: Path, error: OSError) -> DataError:
    """The error for an image file that the system does not give."""
    found = f"cannot be read ({error.strerror})"
    return DataError(path, found=found, mend="Give the path of an image file")


def truncated(path: Path) -> DataError:
    """The error for a file that ends before its picture does."""
    return DataError(
        path,
        found="a truncated image: the file ends before the picture does",
        mend="Copy or download the file again, or leave it out",
    )


def _not_an_image(path: Path, found: str) -> DataError:
    expected = "a JPEG, PNG, TIFF, WebP, BMP or NumPy file"
    return DataError(path, found=found, expected=expected, mend="Convert it, or leave it out")


def format_of(data: bytes) -> str | None:
    """The format that the first bytes are of, as `Header` names it; None: none that is read."""
    if data[:2] == b"\xff\xd8":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[: len(npy.MAGIC)] == npy.MAGIC:
        return "NPY"
    return "BMP" if data[:2] == b"BM" else None


def _read(data: bytes, kind: str, path: Path) -> Header:
    match kind:
        case "TIFF":
            return _tiff(data, path)
        case "NPY":
            array = npy.read(data)
            bits = 8 * array.dtype.itemsize
            return Header(kind, *array.size, array.image_type, bits, 1, alpha=False, wide=True)
        case _:
            return _pillow(data, kind)


def _pillow(data: bytes, kind: str) -> Header:
    with open_pillow(data, kind) as image:
        width, height = image.size
        mode, block = image.mode, image.info.get("exif", b"")
    if kind == "JPEG":
        block = exif.split_jpeg(data)[1]
    elif kind == "PNG":
        # Pillow sees a block behind the pixels only once they are decoded.
        block = next((content for name, content in png_chunks(data) if name == b"eXIf"), b"")
    orientation = exif.orientation(block)
    bits, wide = 8, False
    bands = 1 if mode in _ONE_BAND else 3
    dtype = np.dtype(_ONE_BAND.get(mode, np.uint8))
    alpha = mode in ("LA", "PA", "RGBA")
    if kind == "PNG":
        bits, colour_type = data[24], data[25]
        # Pillow reads 16-bit colour, and 16-bit grey with alpha, as 8 bits.
        wide = bits == 16 and colour_type != 0
        alpha = colour_type in (4, 6)
        dtype = np.dtype(np.uint16) if bits == 16 else dtype
        if wide:
            bands = 1 if colour_type == 4 else 3
    elif kind == "BMP":
        bits = struct.unpack("<H", data[28:30])[0]
    if orientation >= 5:
        width, height = height, width
    return Header(kind, height, width, bands, dtype, bits, orientation, alpha, wide)


def _tiff(data: bytes, path: Path) -> Header:
    pages = tiff.read_bands(data)
    tags = pages[0]
    samples, photometric = int(tags.get(tiff.SAMPLES, 1)), tags.get(tiff.PHOTOMETRIC, tiff.GREY)
    depths = set(tags.get(tiff.BITS, (1,)))
    kinds = set(tags.get(tiff.SAMPLE_FORMAT, (tiff.UNSIGNED,)))
    bits, kind = min(depths), min(kinds)
    dtype = _TIFF_TYPES.get((kind, bits))
    if dtype is None or len(depths) > 1 or len(kinds) > 1 or (bits < 8 and samples > 1):
        numbers = {tiff.UNSIGNED: "unsigned integers", tiff.SIGNED: "signed integers"}
        raise DataError(
            path,
            found=f"a TIFF of {'/'.join(map(str, sorted(depths)))}-bit "
            f"{numbers.get(kind, 'floats')} in {samples} bands",
            expected="8-bit or 16-bit integers, or floats",
            mend="Convert it",
        )
    converted = bits <= 8 and photometric in (tiff.PALETTE, tiff.CMYK, tiff.YCBCR)
    # RGB with a fourth band that nothing explains: writers that say nothing mean alpha.
    unexplained = (_ALPHA[0] if photometric == tiff.RGB and samples == 4 else 0,)
    alpha = samples > 1 and tags.get(tiff.EXTRA_SAMPLES, unexplained)[-1] in _ALPHA
    orientation = tags.get(tiff.ORIENTATION, 1)
    height, width = int(tags[tiff.HEIGHT]), int(tags[tiff.WIDTH])
    if orientation in (5, 6, 7, 8):
        height, width = width, height
    single = samples == 1 and bits <= 32
    rgb = bits == 8 and photometric == tiff.RGB and samples - alpha == 3
    # Where both can, `tiff` decodes: libtiff, below Pillow, prints what it finds damaged.
    ours = bits >= 8 and photometric in (tiff.GREY, tiff.RGB) and tiff.decodes(tags)
    return Header(
        format="TIFF",
        height=height,
        width=width,
        bands=3 if converted else samples - alpha if len(pages) == 1 else len(pages),
        dtype=np.dtype(dtype),
        bits=bits,
        orientation=orientation if orientation in range(1, 9) else 1,
        alpha=alpha,
        wide=ours or len(pages) > 1 or not (converted or single or rgb),
        no_data=tiff.no_data(tags),
    )


def open_pillow(data: bytes, kind: str) -> ImageFile.ImageFile:
    """Pillow's view of the bytes, not yet decoded; one of PILLOW_ERRORS if they make no sense.

    Each format's own class: `Image.open` warns at, and then refuses, pictures of many pixels.
    """
    return _CLASSES[kind](io.BytesIO(exif.split_jpeg(data)[0] if kind == "JPEG" else data))
