"""FCN-32s, 16s, 8s and 4s: one network and a number (Long, Shelhamer and Darrell 2015)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.backbone import Backbone
from perpixel.networks.convolution import DepthwiseConv2d
from perpixel.networks.image_mean import MeanConv2d
from perpixel.networks.initial import draw_normal
from perpixel.networks.network import Network

DROPOUT = 0.1


class FCN(Network):
    """A fully convolutional network with skips from stride 32 up to the stride that is asked for.

    Every part is named by its stride, so a network hands its weights on to a finer one:
    32s → 16s → 8s → 4s.

    head="scores" is the paper's (section 4.2): each level scores the classes by a 1×1 convolution;
    coarse scores go up by 2 through a learned transposed convolution that starts bilinear, and
    meet the next level's in a sum. Skips start at zero, so a finer network starts as the coarser
    one it was made from. The deepest scores start small and random: at zero, as in the paper, they
    would keep the first step's gradient from the backbone.

    head="features" brings each level to `head_channels` features, sums them in the same order,
    refines each sum, and classifies once, at the end. Here going up by 2 is bilinear interpolation,
    which repeats the border, where a transposed convolution fades to zero.

    Args:
        backbone: a feature pyramid with features from `stride` to 32.
        classes: how many classes are scored.
        head: "scores" or "features".
        head_channels: feature channels of the "features" head.
        global_context: add to the deepest level what the mean of its features says.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        head: Literal["scores", "features"] = "features",
        head_channels: int = 96,
        global_context: bool = False,
    ) -> None:
        super().__init__()
        self.levels = tuple(sorted(backbone.channels, reverse=True))
        self.grid, self.stride = self.levels[0], self.levels[-1]
        self.whole_image_layer = "context" if global_context else backbone.whole_image_layer
        self.image_mean = "context" if global_context else None
        self.backbone = backbone
        width = classes if head == "scores" else head_channels
        lateral: dict[str, nn.Module] = {}
        up: dict[str, nn.Module] = {}
        refine: dict[str, nn.Module] = {}
        for level in self.levels:
            channels = backbone.channels[level]
            if head == "scores":
                lateral[str(level)] = _scores(channels, classes, zero=level != self.grid)
                up[str(level)] = _learned_doubling(classes)
                refine[str(level)] = nn.Identity()
            else:
                lateral[str(level)] = _features(channels, width)
                up[str(level)] = nn.Upsample(scale_factor=2, mode="bilinear")
                refine[str(level)] = _refinement(width)
        del up[str(self.grid)]  # Nothing is coarser than the deepest level.
        self.lateral = nn.ModuleDict(lateral)
        self.up = nn.ModuleDict(up)
        self.refine = nn.ModuleDict(refine)
        # No batch norm here: a batch of one would have one value to take its statistics from.
        deepest = backbone.channels[self.grid]
        self.context = MeanConv2d(deepest, width, 1) if global_context else None
        self.classify: nn.Module = nn.Identity()
        if head == "features":
            self.classify = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(width, classes, 1))

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores at the finest level, (B, classes, H / stride, W / stride)."""
        features = self.backbone(images)  # {stride: (B, channels, H / stride, W / stride)}
        deepest = features[self.grid]
        total = self.lateral[str(self.grid)](deepest)  # (B, width, H / 32, W / 32)
        if self.context is not None:
            total = total + self.context(deepest)
        total = self.refine[str(self.grid)](total)
        for level in self.levels[1:]:
            # (B, width, H / level, W / level), from half as many rows and columns
            total = self.up[str(level)](total) + self.lateral[str(level)](features[level])
            total = self.refine[str(level)](total)
        scores: torch.Tensor = self.classify(total)
        return scores


def _scores(channels: int, classes: int, *, zero: bool) -> nn.Conv2d:
    conv = nn.Conv2d(channels, classes, 1)
    nn.init.zeros_(conv.weight) if zero else draw_normal(conv.weight, 0.01)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _learned_doubling(classes: int) -> nn.ConvTranspose2d:
    """Exactly twice the size, cropped by 1: inside the border it starts as bilinear interpolation,
    each class on its own."""
    doubling = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        doubling.weight.zero_()
        doubling.weight[range(classes), range(classes)] = torch.outer(taps, taps)
    return doubling


def _features(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


def _refinement(width: int) -> nn.Sequential:
    """A depthwise-separable 3×3 convolution of the rectified sum."""
    return nn.Sequential(
        nn.ReLU(),
        DepthwiseConv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )
