"""What is found out about an image before it is decoded: whether it may be."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from perpixel.data.complete import jpeg_scans
from perpixel.data.decode import decode_image
from perpixel.data.header import Header, format_of, parse_header
from perpixel.delivery.server.problems import ProblemError
from perpixel.delivery.server.settings import Settings
from perpixel.delivery.server.tiff_structure import check_structure
from perpixel.errors import DataError, ModelError
from perpixel.preprocessing import Preprocessing

# Formats that are read, by the first bytes of a file and never by its name.
FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "NPY": "application/x-npy",
}
# A progressive JPEG has about ten; each more is another pass over all pixels.
MOST_SCANS = 128
# Decoded pixels take at most so many bytes each: three bands of 32-bit floats.
_BYTES_A_PIXEL = 12
# What errors call an image: a client's file names are no business of ours.
NAME = Path("image")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """An image that may be decoded.

    Args:
        data: the file.
        header: what it will be.
    """

    data: bytes
    header: Header

    def decode(self) -> Shaped[np.ndarray, "bands H W"]:
        """The pixels.

        Raises:
            ProblemError: the file is damaged (400).
        """
        try:
            return decode_image(self.data, self.header, NAME)
        except DataError as error:
            raise ProblemError(400, "damaged_image", str(error)) from None
        except Exception as error:
            raise _unforeseen(error) from error


def check_image(data: bytes, settings: Settings, preprocessing: Preprocessing) -> Checked:
    """Read an image's header, and refuse what is too large or not for the model.

    Raises:
        ProblemError: the bytes are no image (415), are damaged (400), have too many pixels (413),
            or have other bands than the model takes (422).
    """
    kind = format_of(data)
    if kind is None:
        found = "has no content" if not data else "is no image that is read"
        names = ", ".join(FORMATS)
        raise ProblemError(415, "no_image_format", f"The body {found}; expected one of {names}.")
    try:
        _check_before_header(data, kind, settings.max_pixels)
        header = parse_header(data, NAME)
    except (ProblemError, DataError) as error:
        if isinstance(error, ProblemError):
            raise
        raise ProblemError(400, "damaged_image", str(error)) from None
    except (ValueError, KeyError, IndexError, struct.error):
        raise ProblemError(
            400, "damaged_image", f"The {kind} file's content makes no sense. Save it again."
        ) from None
    except Exception as error:
        raise _unforeseen(error) from error
    check_pixels(header.size, settings.max_pixels)
    if header.bands * header.dtype.itemsize > max(_BYTES_A_PIXEL, 4 * preprocessing.bands):
        raise ProblemError(422, "other_bands", f"The image has {header.bands} bands.")
    try:
        preprocessing.fit_bands(np.zeros((header.bands, 1, 1), header.dtype))
    except ModelError as error:
        raise ProblemError(422, "other_bands", str(error)) from None
    return Checked(data, header)


def _check_before_header(data: bytes, kind: str, most_pixels: int) -> None:
    """What would cost much already when the header is read."""
    if kind == "TIFF":
        check_structure(data, most_pixels)
    elif kind == "WEBP":
        size = _webp_canvas(data)
        if size is not None:
            check_pixels(size, most_pixels)
    elif kind == "JPEG" and jpeg_scans(data) > MOST_SCANS:
        raise ValueError("too many scans")


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """(H, W) of an extended WebP, for which its decoder makes room at once."""
    if data[12:16] != b"VP8X" or len(data) < 30:
        return None
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    return height, width


def check_pixels(size: tuple[int, int], most: int) -> None:
    """See that an image of this (H, W) may be decoded.

    Raises:
        ProblemError: it has more than `most` pixels (413).
    """
    height, width = size
    if height * width > most:
        found = f"The image has {width}×{height} pixels"
        raise ProblemError(413, "too_many_pixels", f"{found}; at most {most:,} are taken.")


def _unforeseen(error: Exception) -> ProblemError:
    # Decoders raise what they like at bytes that were made to confuse them. It is the client's
    # file all the same; what it was is for whoever reads the server's log.
    _LOG.warning("an image could not be decoded", exc_info=error)
    return ProblemError(400, "damaged_image", "The image is damaged, or too large for the memory.")
