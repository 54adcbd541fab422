"""A mask that is stored as one picture for each class, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from perpixel.data.decode import holds_colours, read_colours, read_mask
from perpixel.data.masks import other_size
from perpixel.errors import DataError

UNCOVERED = 0


@dataclass(frozen=True)
class ClassFiles:
    """One mask file for each class, of which every pixel that is not 0 belongs to the class.

    Args:
        files: with the stored value that each becomes; where they overlap the last one counts.
    """

    files: tuple[tuple[Path, int], ...]

    @property
    def path(self) -> Path:
        """The first of the files."""
        return self.files[0][0]

    def read(self) -> UInt16[np.ndarray, "H W"]:
        """The classes' values, and UNCOVERED where no file claims a pixel.

        Raises:
            DataError: a file cannot be read, or has another size than the first.
        """
        mask: UInt16[np.ndarray, "H W"] | None = None
        for path, value in self.files:
            pixels = read_colours(path) if holds_colours(path) else read_mask(path)
            if mask is None:
                mask = np.full(pixels.shape, UNCOVERED, np.uint16)
            if pixels.shape != mask.shape:
                raise other_size(path, pixels.shape, mask.shape)
            mask[pixels != 0] = value
        if mask is None:
            raise DataError("mask", found="no files", mend="Name at least one")
        return mask
