"""Window: some pixels of a large image, and which of them were measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from perpixel.errors import DataError


@dataclass(frozen=True)
class Window:
    """A part of an image.

    Args:
        pixels: uint8, uint16 or float32 (bands, h, w); NaN where a band was not measured.
        measured: where at least one band was; None: everywhere.
    """

    pixels: Shaped[np.ndarray, "bands h w"]
    measured: Bool[np.ndarray, "h w"] | None


def read_as(
    stored: Shaped[np.ndarray, "bands h w"], dtype: np.dtype[np.generic], path: Path
) -> Shaped[np.ndarray, "bands h w"]:
    """A copy of stored numbers in the type that they have as an image.

    Raises:
        DataError: some are infinite, or too large for the type.
    """
    # What float32 cannot hold becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        pixels = stored.astype(dtype)
    if dtype.kind == "f" and np.isinf(pixels).any():
        mend = "Fill those pixels with numbers, or with NaN where there is no data"
        raise DataError(path, found="pixels that are infinite", mend=mend)
    return pixels


def measured_where(pixels: Shaped[np.ndarray, "bands h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Where any band is a number; None: everywhere."""
    if pixels.dtype.kind != "f":
        return None
    absent = np.isnan(pixels).all(axis=0)
    return ~absent if absent.any() else None
