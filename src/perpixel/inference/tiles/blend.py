"""Blending: overlapping tiles of a network that looks at the whole image.

Each tile then sees another whole, and its scores differ from its neighbours'. All tiles' cells lie
on the whole image's lattice, so they are blended where they are few: as coarse scores, before the
lookup takes them to pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby

import torch
from jaxtyping import Float, Float32

from perpixel.inference.tiles.axis import Cut
from perpixel.inference.tiles.tiling import Tile, TilePlan
from perpixel.score_map import ScoreMap

Computed = Iterator[tuple[Tile, ScoreMap]]


def blended(
    plan: TilePlan, compute: Callable[[Iterable[Tile]], Computed], skip: Collection[int] = ()
) -> Iterator[tuple[Tile, ScoreMap]]:
    """The tiles of a plan with overlap, each with the blend of all that answer for its pixels.

    A tile's weight is 1 in its middle and falls linearly to 0 over twice the overlap, halfway at
    its core's border. What is kept is three rows of tiles' coarse scores, at the most.

    Args:
        plan: with an overlap of at most half a tile.
        compute: scores tiles, in their order.
        skip: the indices of tiles that are not wanted.
    """
    width = len(plan.columns)
    wanted = {index // width for index in range(len(plan)) if index not in skip}
    needed = {near for row in wanted for near in (row - 1, row, row + 1)}
    strips: dict[int, _Strip] = {}
    tiles = (tile for tile in plan if tile.index // width in needed)
    for row, computed in groupby(compute(tiles), lambda one: one[0].index // width):
        for tile, score_map in computed:
            for near in wanted & {row - 1, row, row + 1}:
                strip = strips.setdefault(near, _Strip(plan, near, score_map.scores))
                strip.add(tile, score_map.scores)
        for finished in sorted(near for near in strips if near < row):
            yield from strips.pop(finished).tiles(skip)
    for finished in sorted(strips):
        yield from strips.pop(finished).tiles(skip)


class _Strip:
    """The cells that one row of tiles looks up, over the image's whole width."""

    def __init__(
        self, plan: TilePlan, row: int, like: Float[torch.Tensor, "1 classes h w"]
    ) -> None:
        self.plan, self.row = plan, row
        cut = plan.rows[row]
        self.first, self.last = cut.axis.looked_up(cut.start, cut.stop)
        shape = (self.last - self.first + 1, plan.columns[0].axis.cells)
        self.total = like.new_zeros(*like.shape[:2], *shape, dtype=torch.float32)
        self.weight = self.total.new_zeros(shape)

    def add(self, tile: Tile, scores: Float[torch.Tensor, "1 classes h w"]) -> None:
        """Add what a tile says about these cells."""
        top, rows = _weights(tile.rows, self.plan.overlap)
        left, columns = _weights(tile.columns, self.plan.overlap)
        first, last = max(top, self.first), min(top + len(rows) - 1, self.last)
        if first > last:
            return
        ours = slice(first - self.first, last + 1 - self.first)
        across = slice(left, left + len(columns))
        own_rows = slice(first - tile.rows.first_cell, last + 1 - tile.rows.first_cell)
        start = left - tile.columns.first_cell
        part = scores[:, :, own_rows, start : start + len(columns)].float()
        weight = torch.outer(rows[first - top : last + 1 - top], columns).to(part.device)
        self.total[:, :, ours, across] += part * weight
        self.weight[ours, across] += weight

    def tiles(self, skip: Collection[int]) -> Iterator[tuple[Tile, ScoreMap]]:
        """This row's tiles that are wanted."""
        scores = self.total / self.weight
        width = len(self.plan.columns)
        for index in range(self.row * width, (self.row + 1) * width):
            if index in skip:
                continue
            tile = self.plan[index]
            axis = tile.columns.axis
            left, right = axis.looked_up(tile.columns.start, tile.columns.stop)
            # The offsets count from the tile's first cell; here another one is the first.
            offset = (
                tile.offset[0] + tile.rows.first_cell - self.first,
                tile.offset[1] + tile.columns.first_cell - left,
            )
            size = (tile.core.height, tile.core.width)
            yield tile, ScoreMap(scores[:, :, :, left : right + 1], tile.stride, offset, size)


def _weights(cut: Cut, overlap: int) -> tuple[int, Float32[torch.Tensor, "cells"]]:
    """The first cell that a tile answers for along one axis, and the weight of all that it does."""
    axis = cut.axis
    start, stop = max(cut.start - overlap, 0), min(cut.stop + overlap, axis.pixels)
    first, last = axis.looked_up(start, stop)
    cells = torch.arange(first, last + 1, dtype=torch.float64)
    places = (cells + 0.5 - float(axis.offset)) * float(axis.stride)
    weight = torch.ones(len(cells), dtype=torch.float64)
    if cut.start > 0:
        weight = torch.minimum(weight, (places - (cut.start - overlap)) / (2 * overlap))
    if cut.stop < axis.pixels:
        weight = torch.minimum(weight, (cut.stop + overlap - places) / (2 * overlap))
    # Never quite nothing: some cell may have no other tile.
    return first, weight.clamp(min=1e-6).to(torch.float32)
