"""Tiling: the tiles of an image that score as the whole image does; see `axis` for how that is
decided. Pure functions of sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from perpixel.inference.tiles.axis import Axis, Cut


class Rectangle(NamedTuple):
    """A part of an image or canvas."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Tile:
    """A part of an image that is scored by itself.

    Args:
        index: its place in the plan: row by row, from the top left.
        rows, columns: the tile along either axis.
    """

    index: int
    rows: Cut
    columns: Cut

    @property
    def core(self) -> Rectangle:
        """The pixels of the image that it answers for."""
        return _rectangle(
            (self.rows.start, self.rows.stop), (self.columns.start, self.columns.stop)
        )

    @property
    def canvas(self) -> Rectangle:
        """The part of the canvas that the network is shown."""
        return _rectangle((self.rows.begin, self.rows.end), (self.columns.begin, self.columns.end))

    @property
    def source(self) -> Rectangle:
        """The pixels of the image that must be read."""
        return _rectangle(self.rows.source, self.columns.source)

    @property
    def stride(self) -> tuple[float, float]:
        """Of the tile's ScoreMap: the whole image's."""
        return float(self.rows.axis.stride), float(self.columns.axis.stride)

    @property
    def offset(self) -> tuple[float, float]:
        """Of the tile's ScoreMap, whose pixels are the core's."""
        return self.rows.offset, self.columns.offset

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what the network is shown: tiles of one shape can share a batch."""
        return self.canvas.height, self.canvas.width


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image, row by row from the top left. Each pixel is in exactly one core.

    Args:
        rows: the rows of tiles, from the top.
        columns: the columns of tiles, from the left.
        halo: None where every tile is shown all that its cells see; else at most how many pixels
            around its own it is shown.
        overlap: how many pixels beyond its own each tile answers for too, to be blended.
    """

    rows: tuple[Cut, ...]
    columns: tuple[Cut, ...]
    halo: int | None = None
    overlap: int = 0

    @classmethod
    def of(
        cls,
        rows: Axis,
        columns: Axis,
        tile: int | tuple[int, int],
        halo: int | None = None,
        overlap: int = 0,
    ) -> TilePlan:
        """Cut both axes.

        Args:
            rows, columns: of the image.
            tile: pixels of a tile's side, or (height, width); rounded up to a multiple of the grid.
            halo, overlap: as in `Axis.cuts`.
        """
        height, width = (tile, tile) if isinstance(tile, int) else tile
        return cls(
            rows.cuts(height, halo, overlap), columns.cuts(width, halo, overlap), halo, overlap
        )

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.rows[0].axis.pixels, self.columns[0].axis.pixels

    @property
    def largest(self) -> tuple[int, int]:
        """The height and the width of the largest part of the canvas that the network is shown."""
        return (
            max(cut.end - cut.begin for cut in self.rows),
            max(cut.end - cut.begin for cut in self.columns),
        )

    @property
    def shown_pixels(self) -> int:
        """How many places the network is shown in all: what the tiles cost."""
        height, width = (
            sum(cut.end - cut.begin for cut in cuts) for cuts in (self.rows, self.columns)
        )
        return height * width

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __getitem__(self, index: int) -> Tile:
        row, column = divmod(range(len(self))[index], len(self.columns))
        return Tile(row * len(self.columns) + column, self.rows[row], self.columns[column])

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))


def _rectangle(rows: tuple[int, int], columns: tuple[int, int]) -> Rectangle:
    return Rectangle(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0])
