"""A file that somebody handed to the page, as the image that is segmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from perpixel.data.complete import jpeg_scans
from perpixel.data.decode import read_image
from perpixel.data.header import format_of, parse_header, read_file
from perpixel.delivery.server.checked import MOST_SCANS
from perpixel.errors import DataError, ModelError, PerpixelError
from perpixel.preprocessing import Preprocessing

# What browsers show too.
SHOWN = ("JPEG", "PNG", "WEBP", "BMP")
# In bytes.
LONGEST_NAME, LONGEST_SUFFIX = 80, 10


def read_upload(
    file: Path, name: str, preprocessing: Preprocessing, largest_pixels: int
) -> UInt8[np.ndarray, "H W bands"]:
    """Decode an image exactly as `perpixel predict` does; a grey one gets three equal bands, unless
    the model takes one.

    Args:
        file: where it lies.
        name: what its owner calls it. Errors say this name, never the path.
        preprocessing: the model's; what it would refuse is refused.
        largest_pixels: how many pixels an image may have. More are refused before they are
            decoded, because a small file can hold a picture that fills the memory.

    Raises:
        DataError: it is no image, damaged, too large, or not of 8 bits in one or three bands.
        ModelError: the model takes other bands.
    """
    try:
        data = read_file(file)
        kind = format_of(data)
        if kind not in SHOWN:
            raise DataError(
                name,
                found=f"a {kind} file" if kind else "no image",
                expected="a JPEG, PNG, WebP or BMP file",
                mend="Save the image as one of these",
            )
        if kind == "JPEG" and jpeg_scans(data) > MOST_SCANS:
            # Each is a pass over all pixels.
            found = f"a JPEG of more than {MOST_SCANS} scans"
            raise DataError(name, found=found, mend="Save it again")
        header = parse_header(data, Path(name))
        if header.height * header.width > largest_pixels:
            raise DataError(
                name,
                found=f"an image of {header.width} × {header.height} pixels",
                expected=f"at most {megapixels(largest_pixels)} megapixels",
                mend="Make it smaller, or use the command perpixel predict, which takes any size",
            )
        if header.dtype != np.uint8 or header.bands not in (1, 3):
            raise DataError(
                name,
                found=f"{header.bands} bands of {header.bits} bits",
                expected="grey or colour with 8 bits",
                mend="Use the command perpixel predict, which takes such images",
            )
        image = read_image(file)
        preprocessing.fit_bands(image, name)
    except (DataError, ModelError) as error:
        raise _called(name, error) from None
    bands = np.repeat(image, 3, axis=0) if len(image) == 1 != preprocessing.bands else image
    return np.ascontiguousarray(bands.transpose(1, 2, 0))


def file_name(given: str | None) -> str:
    """What an upload is called: no folders, nothing that cannot be seen, and not too long for a
    line or a file system."""
    name = Path("".join(filter(str.isprintable, given or "")).replace("\\", "/")).name.lstrip(".")
    suffix = Path(name).suffix.encode()[:LONGEST_SUFFIX]
    stem = Path(name).stem.encode()[: LONGEST_NAME - len(suffix)]
    return (stem + suffix).decode(errors="ignore") or "image"


def megapixels(pixels: int) -> str:
    """A number of pixels, in millions."""
    return f"{pixels / 1e6:.3g}"


def _called(name: str, error: DataError | ModelError) -> PerpixelError:
    return type(error)(name, found=error.found, expected=error.expected, mend=error.mend)
