"""What a network's own graph says about tiles: its canvas, its grid, and what its cells see."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import nn

from perpixel.errors import ModelError
from perpixel.inference.tiling import Axis, TilePlan
from perpixel.networks.network import Network
from perpixel.networks.receptive_field import LARGE, of_walk
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
    """

    network: Network
    bands: int
    grid: int
    halo: int
    spans: tuple[Span, Span]
    whole_image_layer: str | None

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
        )

    def axes(self, size: tuple[int, int]) -> tuple[Axis, Axis]:
        """Rows and columns of an image of (H, W) pixels."""
        canvas, placement = self.network.canvas, self.network.placement
        height, width = (canvas.length(pixels) for pixels in size)
        cells = meta_shape(self.network, (height, width), self.bands)
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

    def plan(
        self,
        size: tuple[int, int],
        tile: int | tuple[int, int],
        halo: int | None = None,
        overlap: int = 0,
    ) -> TilePlan:
        """The tiles of an image of (H, W) pixels; see `TilePlan.of`."""
        return TilePlan.of(*self.axes(size), tile, halo, overlap)


def meta_shape(network: Network, canvas: tuple[int, int], bands: int) -> tuple[int, int]:
    """Height and width of a canvas's scores, found without computing or allocating anything."""
    weights = {
        name: tensor.detach().to("meta")
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    probe = _Scores(network)
    weights = {f"network.{name}": tensor for name, tensor in weights.items()}
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            image = torch.empty(1, bands, *canvas, device="meta")
            scores = torch.func.functional_call(probe, weights, (image,))
    finally:
        for module, mode in modes.items():
            module.training = mode
    return int(scores.shape[2]), int(scores.shape[3])


class _Scores(nn.Module):
    """A network from its canvas on, as a module of its own."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        return self.network.forward_scores(canvas)


def _unfit(found: str) -> ModelError:
    return ModelError(
        "model",
        found=found,
        expected="a network whose tiles score as the whole image does",
        mend="Predict the image whole (--tile none)",
    )
