"""How the pixels of an image are laid out for the CPU kernels.

Rows. Pixel rows that lie between the same two score rows form a strip. A kernel reads two rows of
scores and finishes the strip before it goes on.

Columns. Pixels of a row that lie between the same two score columns form an interval. Sixteen
neighbouring intervals form a block and share the sixteen lanes of a vector: lane i of slot p is
the p-th pixel of the block's i-th interval. So for any stride, whole or not, the inner loops run
along neighbouring scores, and only the weights differ. Slots come in groups of four, which the
kernels unroll; a lane's slots beyond its interval's pixels are computed and thrown away.

Pixels outside the outermost score centres get intervals of their own, between twice the same cell:
the row of scores is extended by as many copies of its ends.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from perpixel.kernels.cpu_vector import LANES
from perpixel.score_map import lookup

GROUP = 4


class Rows(NamedTuple):
    """The strips of an image: see above."""

    first: np.ndarray  # int32 (strips): the score row above
    second: np.ndarray  # int32 (strips): the score row below
    start: np.ndarray  # int32 (strips + 1): the first pixel row
    weight: np.ndarray  # float32 (H): the lower score row's weight


class Columns(NamedTuple):
    """The blocks of an image row: see above."""

    pitch: int  # the length of an extended row of scores
    lead: int  # it begins with this many copies of the first score, then has
    begin: int  # scores[begin : begin + length], then copies of the last of these
    length: int
    start: np.ndarray  # int32 (blocks + 1): the first pixel
    interval: np.ndarray  # int32 (intervals + 1): the first pixel
    groups: np.ndarray  # int32 (blocks): groups of four slots
    slots: int  # the most slots of any block
    weight: np.ndarray  # float32 (blocks · slots · 16): the right score column's weight
    place: np.ndarray  # int32 (W): slot · 16 + lane of each pixel within its block


@lru_cache(maxsize=256)
def rows(pixels: int, cells: int, stride: float, offset: float) -> Rows:
    """The strips of an image `pixels` high."""
    first, second, weight = (each.numpy() for each in lookup(pixels, cells, stride, offset))
    start = np.flatnonzero(np.diff(first, prepend=-1))
    return Rows(
        first=first[start].astype(np.int32),
        second=second[start].astype(np.int32),
        start=np.append(start, pixels).astype(np.int32),
        weight=weight,
    )


@lru_cache(maxsize=256)
def columns(pixels: int, cells: int, stride: float, offset: float) -> Columns:
    """The blocks of an image `pixels` wide."""
    # As in `lookup`, but not clamped, so that outer pixels do not crowd the outermost interval.
    place = (np.arange(pixels) + 0.5) / stride - 0.5 + offset
    interval = np.floor(place)
    # Where stride is small, far more of these could lie outside than there are pixels.
    interval = np.clip(interval, -1 - pixels, cells - 1 + pixels)
    lowest = int(interval[0])
    index = (interval - lowest).astype(np.int64)
    blocks = int(index[-1]) // LANES + 1
    pitch = (blocks + 1) * LANES
    lead = min(max(0, -lowest), pitch)
    begin = min(max(0, lowest), cells - 1)
    weight = lookup(pixels, cells, stride, offset)[2].numpy()
    slot = np.arange(pixels) - np.searchsorted(index, index)
    block, lane = index // LANES, index % LANES
    groups = np.zeros(blocks, dtype=np.int32)
    np.maximum.at(groups, block, (slot // GROUP + 1).astype(np.int32))
    slots = GROUP * int(groups.max())
    weights = np.zeros((blocks, slots, LANES), dtype=np.float32)
    weights[block, slot, lane] = weight
    return Columns(
        pitch=pitch,
        lead=lead,
        begin=begin,
        length=min(cells - begin, pitch - lead),
        start=np.searchsorted(block, np.arange(blocks + 1)).astype(np.int32),
        interval=np.searchsorted(index, np.arange(int(index[-1]) + 2)).astype(np.int32),
        groups=groups,
        slots=slots,
        weight=weights.reshape(-1),
        place=(slot * LANES + lane).astype(np.int32),
    )
