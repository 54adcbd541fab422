"""Network: what every architecture has in common. Images of any size in, a ScoreMap out."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn

from perpixel.score_map import ScoreMap


class Network(nn.Module):
    """The base of all architectures: pads the image to the grid, says the true size.

    The zeros go to the bottom and the right, so the same part of an image meets the same phase of
    the grid whatever the image's size. Cells that lie beyond the image are kept: the last step
    interpolates towards them as it would inside a larger image, and never clamps within one.

    A subclass defines `forward_scores`; one that does not pad to its grid defines `forward`.

    Attributes:
        grid: the product of all downsamplings, in pixels.
        stride: pixels for each cell of the scores.
        whole_image_layer: the name of a layer that looks at the whole image, so that tiles
            differ from the whole; None where there is none.
    """

    grid: int
    stride: int
    whole_image_layer: str | None

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
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of images whose height and width are multiples of the grid."""
        raise NotImplementedError

    def forward(self, images: Float[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score images of any height and width from 1 up; h = ⌈H / grid⌉ · grid / stride."""
        height, width = images.shape[2:]
        # Written so that an export with free sizes from grid + 1 up can follow it: -H % grid is
        # shorter, but then the tracer cannot prove that two levels meet in equal sizes.
        rows = (height + self.grid - 1) // self.grid * self.grid
        columns = (width + self.grid - 1) // self.grid * self.grid
        padded = F.pad(images, (0, columns - width, 0, rows - height))
        scores = self.forward_scores(padded)
        return ScoreMap(
            scores, (float(self.stride), float(self.stride)), (0.0, 0.0), (height, width)
        )
