"""Atrous spatial pyramid pooling: the same features through convolutions of several rates
(Chen et al. 2017, arXiv:1706.05587, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn

from perpixel.errors import ConfigError
from perpixel.networks.backbone import Backbone
from perpixel.networks.convolution_blocks import convolution_block

MULTI_GRID = (1, 2, 4)
DROPOUT = 0.5


class AtrousPyramid(nn.Module):
    """A 1×1 convolution, one 3×3 convolution for each rate and the mean of the whole image,
    concatenated and brought to `width` channels.

    Args:
        channels: of the features.
        width: channels of each branch, and of the result.
        rates: the dilations, in cells.
        separable: depthwise-separable 3×3 convolutions (Chen et al. 2018, section 3.2).
    """

    def __init__(
        self, channels: int, width: int, rates: Sequence[int], *, separable: bool = False
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([convolution_block(channels, width, 1)])
        for rate in rates:
            self.branches.append(
                convolution_block(channels, width, dilation=rate, separable=separable)
            )
        self.pooled = ImagePooling(channels, width)
        self.project = nn.Sequential(
            *convolution_block((len(rates) + 2) * width, width, 1), nn.Dropout(DROPOUT)
        )

    def forward(
        self, features: Float[torch.Tensor, "batch channels h w"]
    ) -> Float[torch.Tensor, "batch width h w"]:
        """(B, channels, h, w) to (B, width, h, w)."""
        seen = [branch(features) for branch in self.branches]
        seen.append(self.pooled(features).expand_as(seen[0]))
        projected: torch.Tensor = self.project(torch.cat(seen, 1))
        return projected


class ImagePooling(nn.Sequential):
    """The mean over the whole image, and a 1×1 convolution of it with batch norm and ReLU.

    Args:
        channels: of the features.
        width: channels of the result.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1, bias=False), PooledBatchNorm2d(width), nn.ReLU()
        )

    def forward(
        self, features: Float[torch.Tensor, "batch channels h w"]
    ) -> Float[torch.Tensor, "batch width 1 1"]:
        """(B, channels, h, w) to (B, width, 1, 1)."""
        mean = features.mean(dim=(2, 3), keepdim=True)
        return super().forward(mean)  # type: ignore[no-any-return, no-untyped-call]


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch norm of one value for each image and channel.

    A batch of one image has no variance to offer: there it normalises by the running statistics,
    also in training, and leaves them as they are.
    """

    def forward(
        self, features: Float[torch.Tensor, "batch channels 1 1"]
    ) -> Float[torch.Tensor, "batch channels 1 1"]:
        """(B, C, 1, 1), normalised."""
        if self.training and features.shape[0] == 1:
            return F.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(features)


def has_multi_grid(backbone: Backbone) -> bool:
    """Whether the backbone ends in a stage of residual blocks, as a ResNet does."""
    return hasattr(backbone.pyramid, "layer4")


def dilate_multi_grid(backbone: Backbone, rate: int) -> None:
    """Give the last blocks of an atrous ResNet, in place, the dilations `rate` × (1, 2, 4)
    (Chen et al. 2017, section 3.2.1); of a stage with two blocks the first two.

    Raises:
        ConfigError: the backbone is no ResNet.
    """
    if not has_multi_grid(backbone):
        raise ConfigError(
            f"backbone {backbone.name}",
            found="it has no last stage of residual blocks for a multi-grid",
            expected="a ResNet such as resnet50",
            mend="Set multi_grid to false, or use a ResNet",
        )
    for block, unit in zip(backbone.pyramid.layer4, MULTI_GRID, strict=False):
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.dilation = module.padding = (rate * unit, rate * unit)
