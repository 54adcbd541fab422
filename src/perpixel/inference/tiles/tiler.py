"""Tiles: coarse scores of an image of any size, a tile at a time.

Memory is bounded by the tile's size and never by the image's: pixels are read by windows, and each
tile's scores are handed on before the next one's are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Shaped
from torch import nn

from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import TorchRuntime
from perpixel.inference.runtimes.choice import AutoRuntime
from perpixel.inference.tiles.axis import Cut
from perpixel.inference.tiles.blend import blended
from perpixel.inference.tiles.geometry import ScoresOfCanvas, TileGeometry
from perpixel.inference.tiles.tiling import Tile, TilePlan
from perpixel.networks.image_mean import FeaturesBefore, given_mean
from perpixel.score_map import ScoreMap

# read(top, left, height, width): pixels of the image, which lie within it; NaN is no data.
Read = Callable[[int, int, int, int], Shaped[np.ndarray, "bands height width"]]
Mean = Float[torch.Tensor, "1 channels 1 1"]


@dataclass(frozen=True)
class Tiler:
    """A model that scores images tile by tile.

    Args:
        model: the model.
        geometry: what its network's graph says about tiles.
    """

    model: Model
    geometry: TileGeometry

    @classmethod
    def of(cls, model: Model) -> Tiler:
        """For a model whose network can be looked into.

        Raises:
            ModelError: it cannot, it does not say what its canvas is, or it uses an operation of
                which is not known what it sees.
            ConfigError: its runtime cannot compute tiles of this network.
        """
        geometry = TileGeometry.of(model.network, model.preprocessing.bands)
        runtime, network = model.runtime, geometry.network
        needs_torch = bool(network.image_mean or network.canvas.before)
        if needs_torch and isinstance(runtime, AutoRuntime):
            # Left open which, it is the fastest of those that can.
            model = model.computed_by(runtime.within("torch") or runtime)
        if needs_torch and model.runtime.name != "torch":
            why = (
                f"takes a mean over the whole image in {network.image_mean}"
                if network.image_mean
                else f"surrounds an image with {network.canvas.before} pixels, in its graph"
            )
            raise ConfigError(
                "runtime",
                found=f"{runtime.name}, and a network that {why}",
                expected="torch, which can be given a part of it",
                mend="Use --runtime torch",
            )
        return cls(model, geometry)

    def plan(
        self, size: tuple[int, int], tile: int | tuple[int, int], halo: int | None = None
    ) -> TilePlan:
        """The tiles of an image.

        Where a layer looks at the whole image and cannot be given its mean, tiles overlap by half
        and are blended.

        Args:
            size: (H, W) of the image.
            tile: pixels of a tile's side, or (height, width); rounded up to a multiple of the grid.
            halo: None: every tile is shown all that its cells see. Else at most so many pixels
                around its own, which is faster and no longer exact.
        """
        if halo is not None and halo >= self.geometry.halo + self.geometry.grid:
            halo = None  # A stride H / h moves what is looked up by less than a cell.
        side = tile if isinstance(tile, int) else min(tile)
        overlap = 0
        if self.geometry.inexact_layer is not None:
            overlap = max(side, self.geometry.grid) // 4
        return self.geometry.plan(size, tile, halo, overlap)

    def mean(self, plan: TilePlan, read: Read) -> Mean | None:
        """The mean over the whole canvas that the network's `image_mean` layer takes, read and
        summed in pieces about as large as the plan's tiles; None where there is no such layer.

        The canvas's padding counts, as it does where the network is shown the whole image. Sums are
        in float64.
        """
        if self.geometry.network.image_mean is None:
            return None
        rows, columns = self.geometry.mean_axes(plan.size)
        down, across = (
            max(int((cuts[0].stop - cuts[0].start) / axis.span.stride), 1)
            for cuts, axis in ((plan.rows, rows), (plan.columns, columns))
        )
        pieces = TilePlan(rows.cuts_of_cells(down), columns.cuts_of_cells(across))
        total: torch.Tensor | None = None
        module = FeaturesBefore(self.geometry.network)
        with torch.inference_mode():
            for piece in pieces:
                features = self._run(module, self.canvas([piece], [read(*piece.source)]))
                top, left = (_first_own(cut) for cut in (piece.rows, piece.columns))
                own = features[
                    :,
                    :,
                    top : top + piece.core.height,
                    left : left + piece.core.width,
                ]
                summed = own.double().sum((2, 3), keepdim=True)
                total = summed if total is None else total + summed
            assert total is not None
            return (total / (rows.cells * columns.cells)).float()

    def scores(
        self,
        plan: TilePlan,
        read: Read,
        *,
        mean: Mean | None = None,
        batch_size: int = 1,
        skip: Collection[int] = (),
    ) -> Iterator[tuple[Tile, ScoreMap]]:
        """Every tile of the plan, in order, with a ScoreMap of exactly its core's pixels.

        Args:
            plan: from `plan`.
            read: called once for each tile's source, in order.
            mean: what `mean` found; without it, it is found first, where the network needs one.
            batch_size: up to so many neighbouring tiles of one shape go through the network
                together.
            skip: the indices of tiles that are not wanted.

        Raises:
            ModelError: the image has other bands than the model takes.
        """
        if mean is None:
            mean = self.mean(plan, read)
        if plan.overlap:
            yield from blended(
                plan, lambda tiles: self._computed(tiles, read, mean, batch_size), skip
            )
            return
        wanted = (tile for tile in plan if tile.index not in skip)
        yield from self._computed(wanted, read, mean, batch_size)

    def step(
        self,
        tiles: Sequence[Tile],
        pixels: Sequence[Shaped[np.ndarray, "_ _ _"]],
        mean: Mean | None = None,
    ) -> list[ScoreMap]:
        """Tiles of one shape through the network together: a ScoreMap of each one's core, before
        any blending.

        Args:
            tiles: neighbours, of one shape.
            pixels: the bands of each tile's source.
            mean: what `mean` found, where the network needs one.

        Raises:
            ModelError: the image has other bands than the model takes.
        """
        network = self.geometry.network
        with torch.inference_mode():
            canvas = self.canvas(tiles, pixels)
            if network.image_mean is not None:
                assert mean is not None
                with given_mean(network, mean):
                    scores = self._run(ScoresOfCanvas(network), canvas)
            elif network.canvas.before:
                scores = self._run(ScoresOfCanvas(network), canvas)
            else:
                # Its lengths are those of a canvas: the runtime pads no further.
                scores = self.model.runtime.scores(canvas).scores
        return [
            ScoreMap(scores[place : place + 1], tile.stride, tile.offset, tile.core[2:])
            for place, tile in enumerate(tiles)
        ]

    def _computed(
        self, tiles: Iterable[Tile], read: Read, mean: Mean | None, batch_size: int
    ) -> Iterator[tuple[Tile, ScoreMap]]:
        for batch in _batches(tiles, batch_size):
            pixels = [read(*tile.source) for tile in batch]
            yield from zip(batch, self.step(batch, pixels, mean), strict=True)

    def canvas(
        self, tiles: Sequence[Tile], pixels: Sequence[Shaped[np.ndarray, "_ _ _"]]
    ) -> Float32[torch.Tensor, "batch bands rows columns"]:
        """The parts of the normalised canvas that tiles of one shape are shown."""
        parts = []
        for tile, source in zip(tiles, pixels, strict=True):
            fitted = self.model.preprocessing.fit_bands(source)
            stored = torch.from_numpy(np.ascontiguousarray(fitted)).to(self.model.device)
            image = self.model.preprocessing(stored[None])
            for dimension, cut in ((2, tile.rows), (3, tile.columns)):
                if cut.axis.canvas.mirrored:
                    places = torch.from_numpy(cut.shown_pixels() - cut.source[0])
                    image = image.index_select(dimension, places.to(image.device))
            # Zeros after normalisation, as around a whole image.
            parts.append(F.pad(image, (*tile.columns.around, *tile.rows.around)))
        return torch.cat(parts)

    def _run(self, module: nn.Module, canvas: torch.Tensor) -> torch.Tensor:
        runtime = self.model.runtime
        computed = TorchRuntime(_Placed(module), self.model.device, runtime.precision)
        return computed.scores(canvas).scores


class _Placed(nn.Module):
    """A module from a canvas to cells, in the form that a runtime computes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        # Whoever puts it in evaluation mode, and back, does so to the network.
        self.training = module.training

    def forward(self, canvas: torch.Tensor) -> ScoreMap:
        return ScoreMap.of(self.module(canvas), (canvas.shape[2], canvas.shape[3]))


def _first_own(cut: Cut) -> int:
    """In a piece of cells: which of its cells is the first that it answers for."""
    return cut.start - cut.first_cell


def _batches(tiles: Iterable[Tile], batch_size: int) -> Iterator[list[Tile]]:
    """Neighbouring tiles of one shape, up to `batch_size` of them together."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (tile.shape != batch[0].shape or len(batch) >= batch_size):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch
