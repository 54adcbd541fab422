"""Network: what every architecture has in common. Images of any size in, a ScoreMap out."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.canvas import Canvas
from perpixel.score_map import Placement, ScoreMap


class Network(nn.Module):
    """The base of all architectures: puts the image on its canvas, scores that coarsely, and says
    where the scores lie.

    Images are padded with zeros at the bottom and the right to a multiple of the grid, so the same
    part of an image meets the same phase of the grid whatever the image's size. Cells that lie
    beyond the image are kept: the last step interpolates towards them as it would inside a larger
    image, and never clamps within one.

    A subclass defines `forward_scores`; one with another canvas or placement says so.

    Attributes:
        grid: the product of all downsamplings, in pixels.
        stride: pixels for each cell of the scores.
        whole_image_layer: the name of a layer that looks at the whole image, so that tiles
            differ from the whole; None where there is none.
        image_mean: the name of a layer to which the image matters only by the mean of that layer's
            input over the whole canvas, so that tiles are exact once it is known; None where there
            is none.
    """

    grid: int
    stride: int
    whole_image_layer: str | None
    image_mean: str | None = None

    @property
    def canvas(self) -> Canvas:
        """What the layers are shown of an image."""
        return Canvas(step=self.grid)

    @property
    def placement(self) -> Placement:
        """Where the scores of a canvas lie on the image."""
        return Placement(float(self.stride))

    @property
    def backbone_name(self) -> str | None:
        """The timm name of the classifier whose weights the encoder can start from, if any."""
        name = getattr(getattr(self, "backbone", None), "name", None)
        return name if isinstance(name, str) else None

    def encoder_names(self, available: Collection[str]) -> dict[str, str]:
        """For each tensor of the encoder, by its name here, its name in a file of weights.

        Args:
            available: the names in the file.
        """
        prefix = "backbone.pyramid."
        return {
            name: name.removeprefix(prefix) for name in self.state_dict() if name.startswith(prefix)
        }

    def forward_scores(
        self, canvas: Float[torch.Tensor, "batch bands rows columns"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of a canvas. A canvas that begins a multiple of the grid later has the same
        scores as many cells earlier, borders apart."""
        raise NotImplementedError

    def coarse(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of images of any height and width from 1 up, and no word of where they lie:
        what exported graphs compute."""
        return self.forward_scores(self.canvas.pad(images))

    def forward(self, images: Float[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score images of any height and width from 1 up."""
        height, width = images.shape[2:]
        return self.placement.of(self.coarse(images), (height, width))
