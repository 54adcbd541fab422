"""U-Net (Ronneberger, Fischer and Brox 2015, arXiv:1505.04597): the original with its valid
convolutions, and the padded form on any backbone."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from perpixel.networks.backbone import Backbone
from perpixel.networks.canvas import Canvas
from perpixel.networks.convolution_blocks import convolution_block
from perpixel.networks.network import Network
from perpixel.networks.skips import Join, SkipDecoder

DEPTH = 4  # poolings, and as many steps up
MARGIN = 92  # pixels that the valid convolutions take from each side, (572 − 388) / 2
SMALLEST = 4  # what comes out is 4, 20, 36, … 388, … pixels high and wide
DROPOUT = 0.5


class UNetConfig(BaseModel):
    """The original U-Net; scores of stride 1.

    Args:
        name: unet.
        classes: how many classes are scored.
        bands: how many bands an image has.
        width: channels of the finest level, doubled at each coarser one; 64 in the paper.
        skip: the paper's "concatenate", or "sum", to compare.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["unet"] = "unet"
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    width: int = Field(default=64, ge=1)
    skip: Join = "concatenate"


class PaddedUNetConfig(BaseModel):
    """U-Net's decoder on a backbone, padded so that nothing is cropped.

    Args:
        name: unet-padded.
        backbone: a timm feature pyramid, or one of the short names in `networks.backbone`.
        classes: how many classes are scored.
        bands: how many bands an image has.
        width: channels of the finest level, doubled at each coarser one.
        skip: "concatenate" the backbone's features, or "sum" them.
        stride: pixels for each cell of the scores; some backbones begin with stride 4.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["unet-padded"] = "unet-padded"
    backbone: str = "efficientnet_lite0"
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    width: int = Field(default=32, ge=1)
    skip: Join = "concatenate"
    stride: Literal[2, 4] = 2


class ValidPair(nn.Sequential):
    """Two 3×3 convolutions without padding, each with ReLU: 4 pixels fewer a side and a side."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU()
        )


class PaddedPair(nn.Sequential):
    """Two 3×3 convolutions that keep the size, each with batch norm and ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(convolution_block(channels, width), convolution_block(width, width))


class UNet(Network):
    """The original network, without batch norm and with valid convolutions (section 2).

    For an image of any size the network is given the image and what its mirror shows around it
    (section 2, "overlap-tile"): 92 pixels at the top and the left, and at the bottom and the right
    92 and what is missing to the next size that can come out, 4 + 16 n.

    Args:
        classes: how many classes are scored.
        bands: how many bands the images have.
        width: channels of the finest level.
        skip: how skips are joined.
    """

    def __init__(
        self, classes: int, bands: int = 3, width: int = 64, skip: Join = "concatenate"
    ) -> None:
        super().__init__()
        self.grid, self.stride, self.whole_image_layer = 2**DEPTH, 1, None
        widths = [width * 2**level for level in range(DEPTH + 1)]
        self.contract = nn.ModuleList(
            ValidPair(before, after)
            for before, after in zip([bands, *widths[:-1]], widths, strict=True)
        )
        # At the end of the contracting path (section 3.1), in the released network on two levels.
        self.dropout = nn.Dropout(DROPOUT)
        finer = widths[-2::-1]
        self.expand = SkipDecoder(widths[-1], finer, finer, skip, ValidPair)
        self.classify = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Unit variance after each ReLU (section 3): without batch norm training needs it.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @property
    def canvas(self) -> Canvas:
        """The image with its mirror around it."""
        return Canvas(MARGIN, MARGIN, SMALLEST + 2 * MARGIN, self.grid, mirrored=True)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores at every pixel but the 92 at each side: 572×572 gives 388×388.

        Height and width are 188 + 16 n.
        """
        skips: list[torch.Tensor] = []
        features = images
        for level, pair in enumerate(self.contract):
            features = pair(features if level == 0 else F.max_pool2d(features, 2))
            if level >= DEPTH - 1:
                features = self.dropout(features)
            skips.append(features)
        scores: torch.Tensor = self.classify(self.expand(features, skips[-2::-1]))
        return scores


class PaddedUNet(Network):
    """U-Net's decoder on a pyramid; its features of stride 32 take the place of the bottom.

    Args:
        backbone: a feature pyramid; its finest features have the stride of the scores.
        classes: how many classes are scored.
        width: channels of the finest level, doubled at each coarser one.
        skip: how skips are joined.
    """

    def __init__(
        self, backbone: Backbone, classes: int, width: int = 32, skip: Join = "concatenate"
    ) -> None:
        super().__init__()
        self.levels = tuple(sorted(backbone.channels, reverse=True))
        self.grid, self.stride = self.levels[0], self.levels[-1]
        self.whole_image_layer = backbone.whole_image_layer
        self.backbone = backbone
        channels = [backbone.channels[level] for level in self.levels]
        widths = [width * level // self.stride for level in self.levels[1:]]
        self.expand = SkipDecoder(channels[0], channels[1:], widths, skip, PaddedPair)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores at the finest level, (B, classes, H / stride, W / stride)."""
        features = self.backbone(images)  # {stride: (B, channels, H / stride, W / stride)}
        skips = [features[level] for level in self.levels[1:]]
        scores: torch.Tensor = self.classify(self.expand(features[self.grid], skips))
        return scores


def build_unet(config: UNetConfig | PaddedUNetConfig) -> UNet | PaddedUNet:
    """The network with random weights.

    Raises:
        ConfigError: the backbone is unknown or has no features of the strides that are needed.
    """
    match config:
        case UNetConfig():
            return UNet(config.classes, config.bands, config.width, config.skip)
        case PaddedUNetConfig():
            backbone = Backbone(config.backbone, config.bands, config.stride)
            return PaddedUNet(backbone, config.classes, config.width, config.skip)
