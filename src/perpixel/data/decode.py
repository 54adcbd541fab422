"""Image files → arrays. Pillow decodes: as fast as OpenCV, strict about damage, silent, and at
home with palettes and EXIF. OpenCV decodes 16-bit colour and `tiff` any number of bands, for which
Pillow has no type."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt32
from PIL import Image

from perpixel.data import npy, tiff
from perpixel.data.header import (
    PILLOW_ERRORS,
    Header,
    open_pillow,
    parse_header,
    read_file,
    truncated,
)
from perpixel.errors import DataError

# Pillow's modes whose one band holds numbers; a palette's are its indices.
_NUMBER_MODES = ("1", "L", "P", "I;16", "I;16B")
# What turns a stored picture upright, by EXIF orientation: transpose first, then flip (rows,
# columns).
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_image(path: Path) -> Shaped[np.ndarray, "bands H W"]:
    """Decode an image: uint8, uint16 or float32 (bands, H, W), upright as its EXIF says.

    Grey is one band, colours three (RGB; palettes and CMYK are converted), and an alpha band is
    dropped. Pages of a TIFF that have one band each, and one size and type, are bands of one image;
    of other pages or frames the first is read. Signed and larger integers become floats. What was
    not measured is NaN in floats, also where a TIFF names another value for it. The bands of one
    pixel lie next to each other in memory: the array is a transposed view.

    Raises:
        DataError: the file is missing, truncated, damaged, or no image that perpixel reads.
    """
    data = read_file(path)
    return decode_image(data, parse_header(data, path), path)


def decode_image(data: bytes, header: Header, path: Path) -> Shaped[np.ndarray, "bands H W"]:
    """Decode an image file's bytes, as `read_image` does.

    Args:
        data: all of the file.
        header: what `parse_header` found in it.
        path: only names it in errors.

    Raises:
        DataError: the bytes are damaged.
    """
    pixels = _wide(data, header, path) if header.wide else _usual(data, header, path)
    if pixels.shape[:2] != header.size:
        # Whoever believed the header made room for another picture.
        raise _damaged(path, "its header and its picture have different sizes")
    if pixels.dtype == np.float32:
        if header.no_data is not None:
            # In the file it may be a number that float32 cannot hold.
            with np.errstate(over="ignore"):
                pixels = np.where(pixels == np.float32(header.no_data), np.float32(np.nan), pixels)
        check_finite(pixels, str(path))
    return np.ascontiguousarray(pixels).transpose(2, 0, 1)


def check_finite(pixels: Float32[np.ndarray, "H W bands"], name: str) -> None:
    """See that no pixel is infinite. NaN may be: it says that nothing was measured.

    Raises:
        DataError: one is infinite, or all are NaN.
    """
    if np.isinf(pixels).any():
        mend = "Fill those pixels with numbers, or with NaN where there is no data"
        raise DataError(name, found="pixels that are infinite", mend=mend)
    if pixels.size and np.isnan(pixels).all():
        mend = "Leave the image out"
        raise DataError(name, found="no data: all pixels are NaN", mend=mend)


def read_mask(path: Path) -> Shaped[np.ndarray, "H W"]:
    """Decode a mask: uint8 or uint16 (H, W), the stored values, never colours.

    A palette's indices, and grey of 1, 2, 4, 8 or 16 bits, are taken as they are in the file.

    Raises:
        DataError: the file is missing, truncated or damaged, or it holds colours.
    """
    data = read_file(path)
    header = parse_header(data, path)
    if header.format == "JPEG":
        raise _no_mask(path, "a JPEG mask, whose compression changes class indices")
    if header.format == "NPY":
        try:
            return npy.decode_mask(data)
        except ValueError as error:
            raise _no_mask(path, str(error)) from None
    if header.dtype == np.float32:
        raise _no_mask(path, "float or signed pixels")
    if header.wide and header.bands == 1 and not header.alpha:
        return np.ascontiguousarray(_wide(data, header, path)[:, :, 0])
    image = None if header.wide else _decoded(data, header.format, path)
    if image is None or image.mode not in _NUMBER_MODES:
        alpha = " and alpha" if header.alpha else ""
        raise _no_mask(path, f"a picture of {header.bands} bands{alpha}")
    values = np.asarray(image)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    elif image.mode == "L" and header.bits in (2, 4):
        # Pillow stretches few-bit grey to 0 … 255.
        values = values // np.uint8(255 // (2**header.bits - 1))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(upright(values, _left_to_turn(header)))


def holds_colours(path: Path) -> bool:
    """Whether a mask file holds colours, for `read_colours`, and not numbers, for `read_mask`.

    Raises:
        DataError: the file is missing, truncated, or no image that perpixel reads.
    """
    data = read_file(path)
    header = parse_header(data, path)
    if header.wide:
        return header.bands > 1
    with open_pillow(data, header.format) as image:
        return image.mode not in _NUMBER_MODES


def read_colours(path: Path) -> UInt32[np.ndarray, "H W"]:
    """Decode a mask of RGB colours: each pixel's colour packed into 24 bits, red highest.

    Grey and palettes count as their colours, and alpha is dropped.

    Raises:
        DataError: the file is missing, truncated or damaged, a JPEG, or not of 8 bits.
    """
    data = read_file(path)
    header = parse_header(data, path)
    if header.format == "JPEG":
        raise _no_mask(path, "a JPEG mask, whose compression changes colours")
    if header.dtype != np.uint8 or header.bands not in (1, 3):
        raise _no_mask(path, f"a picture of {header.bands} bands of {header.dtype}")
    pixels = _wide(data, header, path) if header.wide else _usual(data, header, path)
    if header.bands == 1:
        return pixels[:, :, 0] * np.uint32(0x010101)
    # Blue, green, red and a fourth byte, as one number of the machine's own.
    packed = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGRA).view("<u4")[:, :, 0]
    return packed.astype(np.uint32, copy=False) & np.uint32(0xFFFFFF)


def upright(
    pixels: Shaped[np.ndarray, "H W *bands"], orientation: int
) -> Shaped[np.ndarray, "H2 W2 *bands"]:
    """The picture turned as an EXIF orientation (1 to 8) asks."""
    transpose, rows, columns = _UPRIGHT[orientation]
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def _left_to_turn(header: Header) -> int:
    """The orientation still to apply: Pillow and OpenCV turn TIFF files upright themselves."""
    return 1 if header.format == "TIFF" else header.orientation


def _decoded(data: bytes, kind: str, path: Path) -> Image.Image:
    try:
        image = open_pillow(data, kind)
        image.load()
    except PILLOW_ERRORS as error:
        if "truncated" in str(error):
            raise truncated(path) from None
        raise _damaged(path, str(error)) from None
    return image


def _usual(data: bytes, header: Header, path: Path) -> Shaped[np.ndarray, "H W bands"]:
    image = _decoded(data, header.format, path)
    # Pillow warns when a palette with transparency loses it; dropping alpha is what we say we do.
    image.info.pop("transparency", None)
    if header.bands == 1:
        if image.mode in ("1", "LA"):
            image = image.convert("L")
    else:
        image = image.convert("RGB")
    values = np.asarray(image)
    values = values.astype(header.dtype, copy=False)
    return upright(values.reshape(*values.shape[:2], header.bands), _left_to_turn(header))


def _wide(data: bytes, header: Header, path: Path) -> Shaped[np.ndarray, "H W bands"]:
    if header.format == "PNG":
        # Pillow reads it as 8 bits, but strictly: OpenCV would fill what is missing with black.
        _decoded(data, header.format, path)
        values = upright(_opencv(data, path), header.orientation)
    elif header.format == "NPY":
        values = npy.decode(data)
    else:
        pages = tiff.read_bands(data)
        tags = pages[0]
        chunky_rgb = tags.get(tiff.PHOTOMETRIC) == tiff.RGB and tags.get(tiff.PLANAR, 1) == 1
        if all(map(tiff.decodes, pages)):
            try:
                bands = np.concatenate([tiff.decode(data, page) for page in pages], axis=2)
                values = upright(bands, header.orientation)
            except ValueError as error:
                raise _damaged(path, str(error)) from None
        elif chunky_rgb and header.bands + header.alpha in (3, 4) and header.bits >= 16:
            values = _opencv(data, path)
        elif len(pages) > 1:
            values = upright(_frames(data, len(pages), path), header.orientation)
        else:
            raise DataError(
                path,
                found=f"a TIFF of {header.bands} bands in a compression that perpixel cannot read",
                expected="none, or deflate without a floating-point predictor",
                mend="Write it without compression or with deflate (gdal_translate -co "
                "COMPRESS=DEFLATE), or leave it out",
            )
    with np.errstate(over="ignore"):
        return values[:, :, : header.bands].astype(header.dtype, copy=False)


def _frames(data: bytes, count: int, path: Path) -> Shaped[np.ndarray, "H W bands"]:
    """The pages of a TIFF, one band each, as Pillow decodes them."""
    image = _decoded(data, "TIFF", path)
    bands = []
    try:
        for page in range(count):
            image.seek(page)
            bands.append(np.asarray(image))
    except PILLOW_ERRORS as error:
        raise _damaged(path, str(error)) from None
    return np.stack(bands, axis=2)


def _opencv(data: bytes, path: Path) -> Shaped[np.ndarray, "H W samples"]:
    log = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    finally:
        log.setLogLevel(level)
    if values is None:
        raise _damaged(path, "no picture can be decoded")
    values = values.reshape(*values.shape[:2], -1)
    return values[:, :, [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] >= 3 else values


def _damaged(path: Path, reason: str) -> DataError:
    mend = "Copy or download the file again, or leave it out"
    return DataError(path, found=f"a damaged image ({reason})", mend=mend)


def _no_mask(path: Path, found: str) -> DataError:
    return DataError(
        path,
        found=found,
        expected="a mask of one band whose values are class indices",
        mend="Write each class's index as an 8-bit grey or palette PNG",
    )
