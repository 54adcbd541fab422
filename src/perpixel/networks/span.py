"""Span: which pixels the cells of a feature map see along one axis, in exact numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

# The first and the last pixel of an interval; None where a cell sees nothing.
Interval = tuple[int, int] | None


@dataclass(frozen=True)
class Span:
    """The pixels that each cell along one axis of a feature map sees, borders ignored.

    Behind convolutions and poolings every cell sees the same interval, `stride` pixels further
    than the cell before. An upsampling breaks that: of the two cells that a doubling makes from
    one, each sees its own neighbours. So the intervals repeat with a period: cell m · period + r
    sees `cells[r]`, moved by m · `pixels`. Pixels before the image have negative numbers: a cell
    that sees them sees the padding.

    Args:
        pixels: how far apart in the image two cells are that are one period apart.
        cells: the interval of each cell of one period.
    """

    pixels: int
    cells: tuple[Interval, ...]

    @classmethod
    def of_image(cls) -> Span:
        """Each pixel sees itself."""
        return cls(1, ((0, 0),))

    @property
    def stride(self) -> Fraction:
        """Pixels from one cell to the next."""
        return Fraction(self.pixels, len(self.cells))

    @property
    def size(self) -> int:
        """How many pixels a cell sees; where cells differ, the most that one sees."""
        return max((last - first + 1 for first, last in filter(None, self.cells)), default=0)

    @property
    def centre(self) -> Fraction:
        """The middle of what cell 0 sees, in pixels from the image's edge: pixel 0 is at 1/2.

        Cell i's is `stride` · i further. Where cells differ it is the mean over a period: the
        places that the cells of an upsampling stand for, which their intervals surround unevenly.
        """
        middles = [
            Fraction(seen[0] + seen[1] + 1, 2) - self.stride * cell
            for cell, seen in enumerate(self.cells)
            if seen
        ]
        return sum(middles, Fraction(0)) / max(len(middles), 1)

    @property
    def reach(self) -> int:
        """For a span of stride 1: how far beyond itself a pixel sees, at the most."""
        seen = [(pixel, interval) for pixel, interval in enumerate(self.cells) if interval]
        return max(max(pixel - first, last - pixel) for pixel, (first, last) in seen)

    def sees(self, cell: int) -> Interval:
        """The first and the last pixel that any cell sees, also one before or behind the map."""
        period, place = divmod(cell, len(self.cells))
        return _moved(self.cells[place], period * self.pixels)

    def gathered(self, period: int, advance: int, reads: Callable[[int], Iterable[int]]) -> Span:
        """The span of a map whose cell c reads the cells `reads(c)` of this one.

        Args:
            period: reads(c + period) is reads(c), `advance` cells further.
            advance: see there.
            reads: which cells of this map a cell reads.
        """
        repeats = len(self.cells) // math.gcd(len(self.cells), advance)
        period, advance = period * repeats, advance * repeats
        cells = tuple(_union(self.sees(cell) for cell in reads(new)) for new in range(period))
        return _shortest(self.pixels * advance // len(self.cells), cells)

    def strided(self, taps: Iterable[int], stride: int, padding: int) -> Span:
        """Behind a convolution or pooling whose window's elements lie at `taps` (0, 1, 2 for a
        3×3; 0, 2, 4 when it is dilated by 2)."""
        taps = tuple(taps)
        return self.gathered(1, stride, lambda cell: [cell * stride - padding + t for t in taps])

    def transposed(self, taps: Iterable[int], stride: int, padding: int) -> Span:
        """Behind a transposed convolution, where cell i writes to i · stride − padding + tap."""
        taps = tuple(taps)

        def reads(cell: int) -> list[int]:
            sums = [cell + padding - tap for tap in taps]
            return [total // stride for total in sums if total % stride == 0]

        return self.gathered(stride, 1, reads)

    def sampled(self, step: Fraction, start: Fraction, around: tuple[int, ...] = (0,)) -> Span:
        """Behind a resampling: cell c looks this map up at place = start + c · step.

        Args:
            step: this map's cells for each new cell.
            start: where new cell 0 looks.
            around: the cells that are read, counted from ⌊place⌋; of more than one only the first
                that is at or before the place is read when the place is whole (its weight is 1).
        """

        def reads(cell: int) -> list[int]:
            place = start + cell * step
            below = math.floor(place)
            return [below] if place == below else [below + distance for distance in around]

        return self.gathered(step.denominator, step.numerator, reads)

    def joined(self, other: Span) -> Span:
        """Of a sum or concatenation of two maps: what either of them sees.

        Raises:
            ValueError: the maps have different strides, so that no such span exists.
        """
        if self.stride != other.stride:
            raise ValueError(f"maps of strides {self.stride} and {other.stride} meet cell by cell")
        period = math.lcm(len(self.cells), len(other.cells))
        cells = tuple(_union([self.sees(cell), other.sees(cell)]) for cell in range(period))
        return _shortest(int(self.stride * period), cells)


def _moved(interval: Interval, by: int) -> Interval:
    return interval and (interval[0] + by, interval[1] + by)


def _union(intervals: Iterable[Interval]) -> Interval:
    seen = [interval for interval in intervals if interval]
    if not seen:
        return None
    return min(first for first, _ in seen), max(last for _, last in seen)


def _shortest(pixels: int, cells: tuple[Interval, ...]) -> Span:
    """The same span with the shortest period that describes it."""
    for period in range(1, len(cells)):
        if len(cells) % period == 0 and pixels * period % len(cells) == 0:
            step = pixels * period // len(cells)
            moved = (_moved(cells[cell - period], step) for cell in range(period, len(cells)))
            if all(cells[period + index] == interval for index, interval in enumerate(moved)):
                return Span(step, cells[:period])
    return Span(pixels, cells)
