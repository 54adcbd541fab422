"""NumPy's own files: arrays (H, W), (bands, H, W) or (H, W, bands) as images and masks.

The bands are the first or the last axis, whichever is shorter, and the first where both are alike.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

MAGIC = b"\x93NUMPY"
_LARGEST_LABEL = 65_535
# NumPy's own limit too: a text takes thousands of times its length while Python reads it.
_LONGEST_HEADER = 10_000
# Byte order, kind and bytes of the types that an image may have.
_NUMBERS = re.compile(r"\|b1|[<>|=]?[iu][1248]|[<>|=]?f[248]")


@dataclass(frozen=True)
class Array:
    """What a file's header says of its array, and where the numbers start."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool
    start: int

    @property
    def bands_last(self) -> bool:
        """Whether the bands are the last of three axes."""
        return len(self.shape) == 3 and self.shape[2] < self.shape[0]

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        if len(self.shape) == 2:
            return self.shape[0], self.shape[1], 1
        first, second, third = self.shape
        return (first, second, third) if self.bands_last else (second, third, first)

    @property
    def image_type(self) -> np.dtype[np.generic]:
        """The type that it has as an image: bytes and 16-bit integers stay, the rest are floats."""
        if self.dtype == np.bool_:
            return np.dtype(np.uint8)
        kept = self.dtype.newbyteorder("=")
        return kept if kept in (np.uint8, np.uint16) else np.dtype(np.float32)


def read(data: bytes) -> Array:
    """The header.

    Raises:
        ValueError: it makes no sense, or the array is no picture of numbers.
    """
    begin, start = _header_at(data)
    if start - begin > _LONGEST_HEADER:
        raise ValueError(f"a header of {start - begin} bytes")
    # Read here: NumPy's own reader warns at, or stumbles over, some headers that make no sense.
    try:
        fields = ast.literal_eval(data[begin:start].decode("latin1").strip())
        descr, fortran, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise ValueError("a header that makes no sense") from None
    if not isinstance(descr, str) or not _NUMBERS.fullmatch(descr):
        raise ValueError(f"an array of {descr}")
    whole = isinstance(shape, tuple) and all(type(length) is int for length in shape)
    if not whole or len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"an array of the shape {shape}")
    return Array(shape, np.dtype(descr), bool(fortran), start)


def is_complete(data: bytes) -> bool:
    """Whether all numbers of the array are there."""
    if len(data) < 12 or len(data) < _header_at(data)[1]:
        return False
    array = read(data)
    return len(data) >= array.start + math.prod(array.shape) * array.dtype.itemsize


def _header_at(data: bytes) -> tuple[int, int]:
    """Where the header's text begins and ends; the numbers follow."""
    begin = 10 if data[6] == 1 else 12
    return begin, begin + int.from_bytes(data[8:begin], "little")


def decode(data: bytes) -> Shaped[np.ndarray, "H W bands"]:
    """The array as rows, columns and bands, in the type that it has as an image."""
    array = read(data)
    # What float32 cannot hold becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        return _stored(data, array).astype(array.image_type)


def decode_mask(data: bytes) -> Shaped[np.ndarray, "H W"]:
    """The array as a mask, uint8 or uint16.

    Raises:
        ValueError: it has bands, or numbers that are no labels.
    """
    array = read(data)
    if array.size[2] > 1:
        raise ValueError(f"an array of {array.size[2]} bands")
    if array.dtype.kind == "f":
        raise ValueError("float pixels")
    values = _stored(data, array)[:, :, 0]
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _LARGEST_LABEL:
        raise ValueError(f"values from {low} to {high}")
    small = high < 256 if array.dtype.kind != "u" else array.dtype.itemsize == 1
    return values.astype(np.uint8 if small else np.uint16)


def _stored(data: bytes, array: Array) -> Shaped[np.ndarray, "H W bands"]:
    values = np.frombuffer(data, array.dtype, math.prod(array.shape), array.start)
    values = values.reshape(array.shape, order="F" if array.fortran else "C")
    if len(array.shape) == 2:
        return values[:, :, None]
    return values if array.bands_last else values.transpose(1, 2, 0)
