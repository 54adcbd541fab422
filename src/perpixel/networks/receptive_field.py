"""The receptive field of a network's cells, and what follows for cutting an image into tiles.

Long, Shelhamer and Darrell 2015, section 3, describe a layer by its kernel, its stride and what
came before it; here the numbers come from the network's own graph, borders ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from perpixel.networks.seen import Seen
from perpixel.networks.span import Span
from perpixel.networks.walk import Walk, walk

# Large enough for every network's valid convolutions, a multiple of every usual grid, and not
# square, so that rows and columns cannot be mistaken for each other.
LARGE = (2048, 2560)


@dataclass(frozen=True)
class ReceptiveField:
    """What one cell of a feature map sees of the image; always (rows, columns).

    Args:
        size: how many pixels, from the first to the last; the most, where cells differ.
        stride: pixels from one cell to the next.
        centre: the middle of what cell 0 sees, in pixels from the image's upper left corner. The
            middle of the first pixel is at 1/2; that of cell i is stride · i further.
        whole_image_layer: the first layer on the way that looks at the whole image, or None. The
            size then speaks of all other ways.
    """

    size: tuple[int, int]
    stride: tuple[Fraction, Fraction]
    centre: tuple[Fraction, Fraction]
    whole_image_layer: str | None

    @classmethod
    def of(cls, seen: Seen) -> ReceptiveField | None:
        """That of a tensor's cells; None where rows and columns are gone."""
        if not {"y", "x"} <= seen.spans.keys():
            return None
        rows, columns = seen.spans["y"], seen.spans["x"]
        return cls(
            (rows.size, columns.size),
            (rows.stride, columns.stride),
            (rows.centre, columns.centre),
            seen.whole,
        )

    @property
    def offset(self) -> tuple[Fraction, Fraction]:
        """The offset with which a ScoreMap places these cells where they look.

        It looks pixel y up at (y + ½) / stride − ½ + offset. The middle of what cell i sees lies
        at y + ½ = centre + stride · i, so that is i exactly when offset = ½ − centre / stride.
        """
        rows, columns = (
            Fraction(1, 2) - centre / stride
            for centre, stride in zip(self.centre, self.stride, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Tiling:
    """How an image can be cut into tiles that are scored one by one.

    Args:
        grid: tiles must begin at multiples of this many pixels.
        halo: how many pixels around its own a tile must be shown: a multiple of the grid.
        whole_image_layer: a layer that looks at the whole image, which makes tiles differ from the
            whole whatever the halo; None where they are exact.
    """

    grid: int
    halo: int
    whole_image_layer: str | None

    @property
    def exact(self) -> bool:
        """Do tiles with their halo score as the whole image does?"""
        return self.whole_image_layer is None


def receptive_field(network: nn.Module, *, bands: int = 3) -> ReceptiveField:
    """What a cell of a network's scores sees.

    Args:
        network: from (B, bands, H, W) to a ScoreMap, or to scores.
        bands: how many bands the images have.

    Raises:
        ValueError: the network uses an operation of which is not known what it sees.
    """
    return of_scores(walk(network, LARGE, bands))


def of_scores(walked: Walk) -> ReceptiveField:
    """The same, of a walk already made."""
    field = ReceptiveField.of(walked.scores)
    if field is None:
        raise ValueError("the scores have no rows and columns")
    return field


def tiling(network: nn.Module, *, bands: int = 3) -> Tiling:
    """The grid and the halo of tiles that score as the whole image does.

    Args:
        network: from (B, bands, H, W) to a ScoreMap.
        bands: how many bands the images have.

    Raises:
        ValueError: the network uses an operation of which is not known what it sees.
    """
    return of_walk(walk(network, LARGE, bands))


def of_walk(walked: Walk) -> Tiling:
    """The same, of a walk already made.

    A tile moved by the grid has every layer's cells where the whole image has them. The halo is
    how far the farthest-seeing pixel sees: the receptive fields of the two cells that it lies
    between.
    """
    spans = [span for step in walked.steps for span in step.seen.spans.values()]
    score_map = walked.score_map
    grid = math.lcm(*(span.stride.numerator for span in spans))
    reach = 0
    for axis, span in walked.scores.spans.items():
        index = ("y", "x").index(axis)
        pixels = looked_up(span, score_map.stride[index], score_map.offset[index])
        reach = max(reach, pixels.reach)
    halo = math.ceil(Fraction(reach, grid)) * grid
    return Tiling(grid, halo, walked.scores.whole)


def looked_up(cells: Span, stride: float, offset: float) -> Span:
    """What the pixels of an image see through a ScoreMap's interpolation between its cells."""
    # Offsets are sums of thirty-seconds; a stride H / h is a whole number at the sizes used here.
    step = 1 / Fraction(stride).limit_denominator(1 << 16)
    start = step / 2 - Fraction(1, 2) + Fraction(offset).limit_denominator(1 << 16)
    return cells.sampled(step, start, (0, 1))
