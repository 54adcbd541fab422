"""What an exported graph computes: a network's coarse scores, or all from an image to its mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import nn

from perpixel.networks import Network
from perpixel.preprocessing import Preprocessing

# Traced with sizes that no layer has, so that nothing is taken for a constant.
BATCH, HEIGHT, WIDTH = 2, 70, 101


class CoarseGraph(nn.Module):
    """Normalised images in, a network's coarse scores out: perpixel does the rest.

    Args:
        network: in evaluation mode, on the CPU.
        bands: how many bands its images have.
    """

    inputs: Sequence[str] = ("images", "batch", "bands", "height", "width")
    outputs: Sequence[str] = ("scores", "batch", "classes", "rows", "columns")

    def __init__(self, network: Network, bands: int) -> None:
        super().__init__()
        self.network = network
        self.bands = bands

    def example(self) -> torch.Tensor:
        """What it is traced with."""
        return torch.zeros(BATCH, self.bands, HEIGHT, WIDTH)

    def forward(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Normalised images to scores."""
        return self.network.coarse(images)


class FullGraph(nn.Module):
    """uint8 images in, masks out: for whoever has no perpixel. Bands come last, red first.

    Args:
        network: in evaluation mode, on the CPU.
        preprocessing: from the images to its input.
        classes: how many there are.
    """

    inputs: Sequence[str] = ("image", "batch", "height", "width", "bands")
    outputs: Sequence[str] = ("mask", "batch", "height", "width")
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: Network, preprocessing: Preprocessing, classes: int) -> None:
        super().__init__()
        self.network = network
        self.placement = network.placement
        self.bands = preprocessing.bands
        self.reversed = preprocessing.order == "bgr"
        self.mask_type = torch.uint8 if classes <= 256 else torch.uint16
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        # As Preprocessing itself computes it, for 8-bit images.
        self.register_buffer("scale", (preprocessing.range / 255.0 / std).view(1, -1, 1, 1))
        self.register_buffer("shift", (mean / std).view(1, -1, 1, 1))

    def example(self) -> torch.Tensor:
        """What it is traced with."""
        return torch.zeros(BATCH, HEIGHT, WIDTH, self.bands, dtype=torch.uint8)

    def forward(
        self, image: UInt8[torch.Tensor, "batch H W bands"]
    ) -> Shaped[torch.Tensor, "batch H W"]:
        """Images to masks."""
        height, width = image.shape[1:3]
        values = image.permute(0, 3, 1, 2).to(torch.float32)
        if self.reversed:
            values = values.flip(1)
        scores = self.network.coarse(values * self.scale - self.shift)
        rows = self._along(scores, 2, height)
        return self._along(rows, 3, width).argmax(1).to(self.mask_type)

    def _along(self, scores: torch.Tensor, axis: int, pixels: int) -> torch.Tensor:
        """The scores at every pixel along one axis: the ScoreMap's formula."""
        cells = scores.shape[axis]
        place = torch.arange(pixels, dtype=torch.float64) + 0.5
        if self.placement.stride is None:
            place = place * cells / pixels
        else:
            place = place / self.placement.stride
        place = (place - 0.5 + self.placement.offset).clamp(min=0).clamp(max=cells - 1)
        first = place.floor().to(torch.int64)
        second = (first + 1).clamp(max=cells - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        weight = (place - first).to(torch.float32).view(shape)
        below, above = scores.index_select(axis, first), scores.index_select(axis, second)
        return below + weight * (above - below)
