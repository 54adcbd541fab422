"""An image as users hand it in, a file, a Pillow image or an array, as decoded files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from perpixel.data.decode import check_finite, read_image, upright
from perpixel.errors import DataError

ImageLike = str | Path | Image.Image | np.ndarray
# How the EXIF standard numbers the tag that says which side of a photograph is up.
_ORIENTATION = 0x0112


def decoded(image: ImageLike) -> tuple[Shaped[np.ndarray, "bands H W"], str]:
    """The image as uint8, uint16 or float32 (bands, H, W), and the name that errors call it by.

    Args:
        image: a file's path; a Pillow image, which is treated as its file would be (palettes and
            CMYK become RGB, alpha is dropped, EXIF orientation is applied); or an array (H, W) or
            (H, W, bands), uint8, uint16 or floating (0 … 1, if the model was trained
            on photographs; NaN: no data), colours in the order RGB.

    Raises:
        DataError: it cannot be decoded, or the array is of another shape or type.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image)), str(image)
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "") or "image"
        return _from_pillow(image, str(name)), str(name)
    return _from_array(image), "image"


def _from_pillow(image: Image.Image, name: str) -> Shaped[np.ndarray, "bands H W"]:
    # Pillow turns a TIFF itself when it decodes it, and then says so in the tag.
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "F", "I") and not image.mode.startswith("I;16"):
        if "transparency" in image.info:
            # Pillow would warn that the palette's transparency is lost; losing it is what we want.
            image = image.copy()
            del image.info["transparency"]
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if image.mode == "I":
        if pixels.size and not 0 <= pixels.min() <= pixels.max() <= 65_535:
            raise DataError(
                name,
                found="a Pillow image of mode I with values outside 0 … 65535",
                mend="Give it as an array of uint16 or float32",
            )
        pixels = pixels.astype(np.uint16)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    orientation = orientation if orientation in range(1, 9) else 1
    return _checked(upright(pixels.reshape(*pixels.shape[:2], -1), orientation), name)


def _from_array(pixels: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "bands H W"]:
    expected = "(H, W) or (H, W, bands), each at least 1"
    mend = "Give the image as NumPy images usually come: rows, columns, bands"
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        found = f"an array of shape {pixels.shape}"
        raise DataError("image", found=found, expected=expected, mend=mend)
    if pixels.dtype.kind == "f":
        # What float32 cannot hold becomes infinite, and is refused as such.
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32, copy=False)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(
            "image",
            found=f"an array of {pixels.dtype}",
            expected="uint8, uint16, or floats between 0 and 1",
            mend="Convert it with astype",
        )
    return _checked(pixels.reshape(*pixels.shape[:2], -1), "image")


def _checked(pixels: Shaped[np.ndarray, "H W bands"], name: str) -> Shaped[np.ndarray, "bands H W"]:
    if pixels.dtype.kind == "f":
        check_finite(pixels, name)
    return pixels.transpose(2, 0, 1)
