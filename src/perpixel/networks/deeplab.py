"""DeepLabv3 (Chen et al. 2017, arXiv:1706.05587) and DeepLabv3+ (Chen et al. 2018,
arXiv:1802.02611): atrous convolutions in the backbone and above it."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from perpixel.networks.atrous import AtrousPyramid, dilate_multi_grid, has_multi_grid
from perpixel.networks.backbone import Backbone
from perpixel.networks.convolution_blocks import convolution_block
from perpixel.networks.network import Network

RATES = (6, 12, 18)  # at output stride 16; twice as many cells at 8
LOW_LEVEL_STRIDE, LOW_LEVEL_CHANNELS = 4, 48


class DeepLabConfig(BaseModel):
    """DeepLabv3 or DeepLabv3+.

    Args:
        name: deeplabv3 (scores of the output stride) or deeplabv3plus (of stride 4).
        backbone: a timm feature pyramid that can be dilated, such as a ResNet or EfficientNet, or
            one of the short names in `networks.backbone`.
        classes: how many classes are scored.
        bands: how many bands an image has.
        output_stride: stride of the deepest features; the stages that would go below it dilate.
        multi_grid: dilate a ResNet's last three blocks by 1, 2 and 4 times their rate; None is yes
            for a ResNet and no for other backbones, which have no such blocks.
        head_channels: channels of every part of the head; 256 in the papers.
        separable: depthwise-separable 3×3 convolutions in the head (DeepLabv3+, section 3.2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["deeplabv3", "deeplabv3plus"] = "deeplabv3plus"
    backbone: str = "resnet50"
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    output_stride: Literal[8, 16] = 16
    multi_grid: bool | None = None
    head_channels: int = Field(default=256, ge=1)
    separable: bool = False


class DeepLabV3(Network):
    """Atrous spatial pyramid pooling, a 3×3 convolution and a 1×1 classifier.

    The paper classifies without the 3×3 convolution; torchvision's network, whose weights are
    the ones to be had, has it.

    Args:
        backbone: a pyramid whose coarsest features have stride 8 or 16.
        classes: how many classes are scored.
        width: channels of the head.
        separable: depthwise-separable 3×3 convolutions in the head.
    """

    def __init__(
        self, backbone: Backbone, classes: int, width: int = 256, *, separable: bool = False
    ) -> None:
        super().__init__()
        self.stride = max(backbone.channels)
        self.grid = self.stride
        self.whole_image_layer = self.image_mean = "atrous.pooled"
        self.backbone = backbone
        self.atrous = _atrous(backbone, width, separable=separable)
        self.refine = convolution_block(width, width, separable=separable)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of the backbone's output stride, (B, classes, H / stride, W / stride)."""
        deepest = self.backbone(images)[self.stride]
        scores: torch.Tensor = self.classify(self.refine(self.atrous(deepest)))
        return scores


class DeepLabV3Plus(Network):
    """Atrous spatial pyramid pooling, and a decoder that joins it with features of stride 4
    (section 3.1): those are brought to 48 channels, the others go up by 2 or 4, bilinearly, and two
    3×3 convolutions refine both together.

    Args:
        backbone: a pyramid from stride 4 to 8 or 16.
        classes: how many classes are scored.
        width: channels of the head.
        separable: depthwise-separable 3×3 convolutions in the head.
    """

    def __init__(
        self, backbone: Backbone, classes: int, width: int = 256, *, separable: bool = False
    ) -> None:
        super().__init__()
        self.grid, self.stride = max(backbone.channels), LOW_LEVEL_STRIDE
        self.whole_image_layer = self.image_mean = "atrous.pooled"
        self.backbone = backbone
        self.atrous = _atrous(backbone, width, separable=separable)
        self.low_level = convolution_block(
            backbone.channels[LOW_LEVEL_STRIDE], LOW_LEVEL_CHANNELS, 1
        )
        self.refine = nn.Sequential(
            convolution_block(width + LOW_LEVEL_CHANNELS, width, separable=separable),
            convolution_block(width, width, separable=separable),
        )
        self.classify = nn.Conv2d(width, classes, 1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of stride 4, (B, classes, H / 4, W / 4)."""
        features = self.backbone(images)
        low = self.low_level(features[LOW_LEVEL_STRIDE])  # (B, 48, H / 4, W / 4)
        deep = self.atrous(features[self.grid])
        deep = F.interpolate(deep, scale_factor=self.grid // self.stride, mode="bilinear")
        scores: torch.Tensor = self.classify(self.refine(torch.cat((deep, low), 1)))
        return scores


def _atrous(backbone: Backbone, width: int, *, separable: bool) -> AtrousPyramid:
    stride = max(backbone.channels)
    rates = [rate * 16 // stride for rate in RATES]
    return AtrousPyramid(backbone.channels[stride], width, rates, separable=separable)


def build_deeplab(config: DeepLabConfig) -> DeepLabV3 | DeepLabV3Plus:
    """The network with random weights.

    Raises:
        ConfigError: the backbone is unknown, cannot be dilated to the output stride, or is no
            ResNet though `multi_grid` is on.
    """
    match config.name:
        case "deeplabv3":
            kind: type[DeepLabV3 | DeepLabV3Plus] = DeepLabV3
            finest: int = config.output_stride
        case "deeplabv3plus":
            kind, finest = DeepLabV3Plus, LOW_LEVEL_STRIDE
    backbone = Backbone(config.backbone, config.bands, finest, config.output_stride)
    multi_grid = has_multi_grid(backbone) if config.multi_grid is None else config.multi_grid
    if multi_grid:
        dilate_multi_grid(backbone, 32 // config.output_stride)
    return kind(backbone, config.classes, config.head_channels, separable=config.separable)
