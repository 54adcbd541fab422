"""FCN-decoder: the teaching variant. Down a VGG by five poolings, and up again by five layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.backbone import Backbone
from perpixel.networks.network import Network


class FCNDecoder(Network):
    """Each stage doubles the size by a learned transposed convolution and adds the pooling that
    has that size, at full width, as in a ladder; the last stage has the image's own size and half
    the channels of the finest pooling.

    A stage's transposed convolution (3×3, stride 2, padding 1, output padding 1) lets cell i write
    to the new cells 2i − 1, 2i and 2i + 1, of which it lies between the last two. So what a score
    sees reaches further down and to the right than up and to the left: its middle lies 15½ pixels
    off by way of the deepest features, ½ by way of the finest. The scores are nevertheless placed
    where their pixels are, with offset 0. No one offset would suit all ways, and none is needed: a
    kernel that leaves 2i − 1 out doubles without any shift, and training with the masks in place
    finds what keeps everything there.

    Args:
        backbone: a VGG with features from stride 2 to 32.
        classes: how many classes are scored.
    """

    stride = 1

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.whole_image_layer = backbone.whole_image_layer
        self.levels = tuple(sorted(backbone.channels, reverse=True))  # 32, 16, 8, 4, 2
        self.grid = self.levels[0]
        widths = [backbone.channels[level] for level in self.levels]
        widths.append(widths[-1] // 2)
        self.up = nn.ModuleDict(
            {
                str(level // 2): _doubling(width, narrower)
                for level, width, narrower in zip(self.levels, widths, widths[1:], strict=False)
            }
        )
        self.classify = nn.Conv2d(widths[-1], classes, 1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes H W"]:
        """Class scores at every pixel, (B, classes, H, W)."""
        features = self.backbone(images)  # {stride: (B, channels, H / stride, W / stride)}
        total = features[self.grid]
        for level in self.levels[1:]:
            total = self.up[str(level)](total) + features[level]
        scores: torch.Tensor = self.classify(self.up["1"](total))
        return scores


def _doubling(channels: int, narrower: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(channels, narrower, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(narrower),
    )
