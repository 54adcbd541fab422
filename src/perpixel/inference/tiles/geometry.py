"""What a network's own graph says about tiles: its canvas, its grid, and what its cells see."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import nn

from perpixel.errors import ModelError
from perpixel.inference.tiles.axis import Axis
from perpixel.inference.tiles.tiling import TilePlan
from perpixel.networks.image_mean import FeaturesBefore
from perpixel.networks.network import Network
from perpixel.networks.receptive_field import LARGE, of_walk
from perpixel.networks.skeleton import skeleton
from perpixel.networks.span import Span
from perpixel.networks.walk import walk

# Offsets are sums of thirty-seconds.
_FINEST = 1 << 16


@dataclass(frozen=True)
class TileGeometry:
    """All that tiles must know of a network, whatever the image.

    Args:
        network: the network.
        bands: how many bands its images have.
        grid: where tiles may begin, in pixels.
        halo: how many pixels around its own a tile must be shown, at the most.
        spans: what the cells of its scores see, along rows and columns.
        whole_image_layer: the first layer that looks at the whole image; None where there is none.
        mean_spans: what the cells see whose mean the network's `image_mean` layer takes; None where
            it has none.
    """

    network: Network
    bands: int
    grid: int
    halo: int
    spans: tuple[Span, Span]
    whole_image_layer: str | None
    mean_spans: tuple[Span, Span] | None

    @property
    def inexact_layer(self) -> str | None:
        """The layer because of which tiles differ from the whole image; None where none do: a mean
        over the image can be taken tile by tile."""
        known = self.whole_image_layer == self.network.image_mean
        return None if known else self.whole_image_layer

    @classmethod
    def of(cls, network: nn.Module, bands: int = 3) -> TileGeometry:
        """Follow the network's graph; nothing is computed.

        Raises:
            ModelError: the network does not say what its canvas is, or uses an operation of which
                is not known what it sees.
        """
        if not isinstance(network, Network):
            raise _unfit(f"a {type(network).__name__}, which does not say what its canvas is")
        try:
            walked = walk(network, LARGE, bands)
        except ValueError as error:
            raise _unfit(f"a layer whose view of the image is not known ({error})") from None
        tiling, spans = of_walk(walked), walked.scores.spans
        return cls(
            network,
            bands,
            tiling.grid,
            tiling.halo,
            (spans["y"], spans["x"]),
            tiling.whole_image_layer,
            _mean_spans(network, bands),
        )

    def axes(self, size: tuple[int, int]) -> tuple[Axis, Axis]:
        """Rows and columns of an image of (H, W) pixels."""
        canvas, placement = self.network.canvas, self.network.placement
        height, width = (canvas.length(pixels) for pixels in size)
        cells = meta_shape(ScoresOfCanvas(self.network), (height, width), self.bands)
        offset = Fraction(placement.offset).limit_denominator(_FINEST)

        def axis(index: int) -> Axis:
            stride = (
                Fraction(size[index], cells[index])
                if placement.stride is None
                else Fraction(placement.stride).limit_denominator(_FINEST)
            )
            span = self.spans[index]
            return Axis(size[index], canvas, self.grid, cells[index], span, stride, offset)

        return axis(0), axis(1)

    def mean_axes(self, size: tuple[int, int]) -> tuple[Axis, Axis]:
        """Rows and columns of the features whose mean the network takes; their pixels are cells."""
        assert self.mean_spans is not None
        canvas = self.network.canvas
        height, width = (canvas.length(pixels) for pixels in size)
        cells = meta_shape(FeaturesBefore(self.network), (height, width), self.bands)
        rows, columns = (
            Axis(pixels, canvas, self.grid, count, span, span.stride)
            for pixels, count, span in zip(size, cells, self.mean_spans, strict=True)
        )
        return rows, columns

    def plan(
        self,
        size: tuple[int, int],
        tile: int | tuple[int, int],
        halo: int | None = None,
        overlap: int = 0,
    ) -> TilePlan:
        """The tiles of an image of (H, W) pixels; see `TilePlan.of`."""
        return TilePlan.of(*self.axes(size), tile, halo, overlap)


def meta_shape(network: nn.Module, canvas: tuple[int, int], bands: int) -> tuple[int, int]:
    """Height and width of what a network makes of a canvas, without computing or allocating it."""
    with torch.no_grad():
        result = skeleton(network)(torch.empty(1, bands, *canvas, device="meta"))
    return int(result.shape[2]), int(result.shape[3])


class ScoresOfCanvas(nn.Module):
    """A network from its canvas on, as a module of its own."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        # Whoever puts it in evaluation mode, and back, does so to the network.
        self.training = network.training

    def forward(
        self, canvas: Float[torch.Tensor, "batch bands rows columns"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of a canvas."""
        return self.network.forward_scores(canvas)


def _mean_spans(network: Network, bands: int) -> tuple[Span, Span] | None:
    if network.image_mean is None:
        return None
    # Without anything before the image, places of the canvas are pixels.
    assert network.canvas.before == 0
    spans = walk(FeaturesBefore(network), LARGE, bands).scores.spans
    return spans["y"], spans["x"]


def _unfit(found: str) -> ModelError:
    return ModelError(
        "model",
        found=found,
        expected="a network whose tiles score as the whole image does",
        mend="Predict the image whole (--tile none)",
    )
