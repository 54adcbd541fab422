"""What the values stored in a mask mean: numbers or colours, each a class or ignored. One table
lookup turns them into class indices, however many they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Integer, Shaped

from perpixel.labels import Colour, LabelSpace

# In a mapping: the pixels with this value have no label. Only a LabelSpace knows their index.
IGNORED = -1
Kind = Literal["numbers", "colours"]
_COLOURS = 1 << 24
_NUMBERS = 1 << 16


@dataclass(frozen=True)
class MaskEncoding:
    """Which class each stored value of a dataset's masks means.

    Args:
        kind: "numbers": grey values and palette indices; "colours": RGB, packed into 24 bits as
            `pack_colour` does.
        mapping: (stored value, class index or IGNORED), each value once.
        rest_ignored: whether every other value is ignored too; else it is a stranger.
    """

    kind: Kind
    mapping: tuple[tuple[int, int], ...]
    rest_ignored: bool = False

    def apply(
        self, stored: Integer[np.ndarray, "*shape"], labels: LabelSpace
    ) -> tuple[Shaped[np.ndarray, "*shape"], list[int]]:
        """Class indices (and the ignore index) in the label space's own type, and the strangers.

        Args:
            stored: values as `masks.read_stored` gives them, of any shape.
            labels: says the ignore index.

        Returns:
            the mask, in which strangers have an undefined value; and the values that mean
            nothing, sorted.
        """
        table, unknown = _table(self, labels.ignore_index, np.dtype(labels.mask_dtype).name)
        mask = table[stored]
        strange = [] if unknown is None else np.unique(stored[mask == unknown]).tolist()
        return mask.astype(labels.mask_dtype, copy=False), [int(value) for value in strange]

    def describe(self, value: int) -> str:
        """A stored value in words: the number, or the colour as (r, g, b)."""
        return str(value) if self.kind == "numbers" else str(unpack_colour(value))


def encode(
    stored: Integer[np.ndarray, "*shape"], encoding: MaskEncoding | None, labels: LabelSpace
) -> tuple[Shaped[np.ndarray, "*shape"], list[int]]:
    """`MaskEncoding.apply`; without an encoding the stored values are the class indices."""
    if encoding is not None:
        return encoding.apply(stored, labels)
    return stored.astype(labels.mask_dtype, copy=False), labels.strangers(stored)


def pack_colour(colour: Colour) -> int:
    """An RGB colour as one number of 24 bits, red highest."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def unpack_colour(value: int) -> Colour:
    """The RGB colour that `pack_colour` packed."""
    return value >> 16 & 255, value >> 8 & 255, value & 255


# A table of all colours takes 16 MB, but a mask touches the few lines of its own colours: faster
# than a search. The tables of a run's training and validation labels fit.
@lru_cache(maxsize=4)
def _table(
    encoding: MaskEncoding, ignore_index: int, dtype: str
) -> tuple[Shaped[np.ndarray, "values"], int | None]:
    """The class of every value, and which entry marks a stranger (None: there are none)."""
    targets = {ignore_index if to == IGNORED else to for _, to in encoding.mapping}
    size = _COLOURS if encoding.kind == "colours" else _NUMBERS
    unknown = None
    if not encoding.rest_ignored:
        # All 256 entries of a uint8 table may be taken; then strangers need a wider one.
        unknown = next(entry for entry in range(1 << 17) if entry not in targets)
        if unknown > np.iinfo(dtype).max:
            dtype = "uint16" if unknown < _NUMBERS else "uint32"
    table = np.full(size, ignore_index if unknown is None else unknown, dtype)
    for value, to in encoding.mapping:
        table[value] = ignore_index if to == IGNORED else to
    table.setflags(write=False)
    return table, unknown
