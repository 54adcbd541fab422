"""Axis: how rows or columns are cut so that tiles score as the whole image does. Pure functions
of sizes.

A cell of a fully convolutional network sees a known window of the canvas (`networks.span`). So a
tile is exact when it is shown all that its cells see, when it begins where the layers' lattices do,
and when the network's own border lies at the canvas's true borders only:

- its part of the canvas begins at a multiple of the grid, and ends a multiple of the grid before
  the canvas's end. Then every layer's cells lie where the whole canvas has them, also in networks
  whose padding depends on the size, and the part is as long as a canvas of that network can be;
- it reaches from the first place that its first cell sees to the last that its last cell sees.
  Which cells it needs is what the ScoreMap of the whole image looks up for its pixels: the
  interpolation's second cell is one of them, and a stride H / h is the whole image's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int64

from perpixel.networks.canvas import Canvas
from perpixel.networks.span import Span


@dataclass(frozen=True)
class Axis:
    """Rows or columns: of an image, of its canvas, and of the cells that a network makes of it.

    Args:
        pixels: of the image.
        canvas: what lies around them.
        grid: the product of all downsamplings, in pixels.
        cells: of the whole canvas's scores.
        span: what the cells see, in pixels of the image.
        stride: pixels for each cell, where the ScoreMap of the whole image looks them up.
        offset: that ScoreMap's.
    """

    pixels: int
    canvas: Canvas
    grid: int
    cells: int
    span: Span
    stride: Fraction
    offset: Fraction = Fraction(0)

    @property
    def places(self) -> int:
        """The canvas's length."""
        return self.canvas.length(self.pixels)

    def looked_up(self, start: int, stop: int) -> tuple[int, int]:
        """The first and the last cell that the pixels from `start` to before `stop` look up."""
        first, last = (
            (pixel + Fraction(1, 2)) / self.stride - Fraction(1, 2) + self.offset
            for pixel in (start, stop - 1)
        )
        return self._clamped(math.floor(first)), self._clamped(math.ceil(last))

    def _clamped(self, cell: int) -> int:
        return min(max(cell, 0), self.cells - 1)

    def shown(
        self, first: int, last: int, within: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """The part of the canvas that must be shown for these cells to be right: from which place,
        up to before which.

        Args:
            first: of the cells.
            last: of the cells.
            within: pixels from … to before …, beyond which nothing is shown that the network can do
                without. Then the cells need not be right.
        """
        period = len(self.span.cells)
        starts = map(self.span.sees, range(first, min(last, first + period - 1) + 1))
        ends = map(self.span.sees, range(max(first, last - period + 1), last + 1))
        before = self.canvas.before
        begin = min(seen[0] for seen in starts if seen) + before
        end = max(seen[1] for seen in ends if seen) + 1 + before
        if within is not None:
            begin, end = max(begin, within[0] + before), min(end, within[1] + before)
        # At least one pixel of the image, so that there is something to read.
        begin, end = min(begin, before + self.pixels - 1), max(end, before + 1)
        grid, places, stride = self.grid, self.places, self.span.stride
        begin = max(begin, 0) // grid * grid
        end = places - max(places - end, 0) // grid * grid
        # The layers without padding put out fewer cells than they are shown places.
        while begin > first * stride:
            begin -= grid
        while self.cells - (places - end) / stride <= last:
            end += grid
        return begin, end

    def cuts(self, tile: int, halo: int | None = None, overlap: int = 0) -> tuple[Cut, ...]:
        """Pieces of so many pixels, rounded up to a multiple of the grid; the last is what is left.

        Args:
            tile: pixels of a piece.
            halo: None: what is needed. Else at most so many pixels are shown on either side.
            overlap: how many pixels beyond its own a piece must be able to answer for as well.
        """
        length = max(math.ceil(Fraction(tile, self.grid)), 1) * self.grid
        found = []
        for start in range(0, self.pixels, length):
            stop = min(start + length, self.pixels)
            wide = max(start - overlap, 0), min(stop + overlap, self.pixels)
            first, last = self.looked_up(*wide)
            within = None if halo is None else (wide[0] - halo, wide[1] + halo)
            found.append(Cut(self, start, stop, *self.shown(first, last, within)))
        return tuple(found)

    def cuts_of_cells(self, count: int) -> tuple[Cut, ...]:
        """Pieces of so many cells instead: each one's `start` and `stop` are cells."""
        starts = range(0, self.cells, count)
        pieces = [(first, min(first + count, self.cells)) for first in starts]
        return tuple(Cut(self, first, stop, *self.shown(first, stop - 1)) for first, stop in pieces)


@dataclass(frozen=True)
class Cut:
    """A tile along one axis.

    Args:
        axis: of the whole image.
        start, stop: the pixels that it answers for, `stop` not among them.
        begin, end: the places of the canvas that the network is shown, `end` not among them.
    """

    axis: Axis
    start: int
    stop: int
    begin: int
    end: int

    @property
    def first_cell(self) -> int:
        """Which of the whole canvas's cells its first one is."""
        return int(self.begin / self.axis.span.stride)

    @property
    def cells(self) -> int:
        """How many cells the network makes of what it is shown."""
        unseen = self.axis.places - (self.end - self.begin)
        return int(self.axis.cells - unseen / self.axis.span.stride)

    @property
    def offset(self) -> float:
        """Of the ScoreMap that looks these cells up from the tile's own pixels."""
        axis = self.axis
        return float(axis.offset + self.start / axis.stride - self.first_cell)

    @property
    def source(self) -> tuple[int, int]:
        """The pixels of the image that lie in what is shown, or are mirrored there: from … to
        before …; at least one."""
        pixels = self.shown_pixels()
        return int(pixels.min()), int(pixels.max()) + 1

    @property
    def around(self) -> tuple[int, int]:
        """How many places before and after the source are border: zeros. Of a mirrored canvas none
        are."""
        axis = self.axis
        if axis.canvas.mirrored:
            return 0, 0
        start, stop = self.source
        before = axis.canvas.before
        return max(start + before - self.begin, 0), max(self.end - stop - before, 0)

    def shown_pixels(self) -> Int64[np.ndarray, "pixels"]:
        """Which pixels of the image are shown, in their order: one for each place of a mirrored
        canvas."""
        places = np.arange(self.begin, self.end, dtype=np.int64) - self.axis.canvas.before
        last = self.axis.pixels - 1
        if not self.axis.canvas.mirrored:
            return places[(places >= 0) & (places <= last)]
        period = max(2 * last, 1)
        places %= period
        return np.minimum(np.minimum(places, period - places), last)
