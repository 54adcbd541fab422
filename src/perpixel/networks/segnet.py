"""SegNet and SegNet-Basic: a decoder that puts each maximum back to where it was found
(Badrinarayanan, Kendall and Cipolla 2017, arXiv:1511.00561)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from perpixel.networks.convolution_blocks import convolution_block
from perpixel.networks.network import Network

# VGG16: how many convolutions a stage has, and its channels in multiples of the first stage's.
VGG16_STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
BASIC_STAGES = 4


class SegNetConfig(BaseModel):
    """SegNet, or the smaller SegNet-Basic; scores of stride 1.

    Args:
        name: segnet (VGG16 with batch norm, and its mirror image) or segnet-basic (four stages of
            one 7×7 convolution on either side).
        classes: how many classes are scored.
        bands: how many bands an image has.
        width: channels of the first stage; 64 in the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["segnet", "segnet-basic"] = "segnet"
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    width: int = Field(default=64, ge=1)


class PoolingEncoder(nn.Module):
    """VGG16's convolutions with batch norm, under torchvision's names; its poolings say where each
    maximum was.

    Args:
        bands: how many bands the images have.
        width: channels of the first stage.
    """

    name = "vgg16_bn"

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = bands
        for convolutions, multiple in VGG16_STAGES:
            for _ in range(convolutions):
                layers += [
                    # The bias is spare before batch norm, but pretrained weights have it.
                    nn.Conv2d(channels, width * multiple, 3, padding=1),
                    nn.BatchNorm2d(width * multiple),
                    nn.ReLU(),
                ]
                channels = width * multiple
            layers.append(nn.MaxPool2d(2, return_indices=True))
        self.pyramid = nn.ModuleDict({"features": nn.Sequential(*layers)})

    def forward(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> tuple[Float[torch.Tensor, "batch channels h w"], list[Int64[torch.Tensor, "batch _ _ _"]]]:
        """Features of stride 32, and the places of the maxima of each pooling, fine to coarse."""
        features, places = images, []
        for layer in self.pyramid["features"]:  # type: ignore[attr-defined]
            if isinstance(layer, nn.MaxPool2d):
                features, indices = layer(features)
                places.append(indices)
            else:
                features = layer(features)
        return features, places


class SegNet(Network):
    """Encoder and mirrored decoder (section 3): each stage of the decoder unpools with the indices
    of the encoder's pooling, and convolves the sparse result dense again.

    Args:
        classes: how many classes are scored.
        bands: how many bands the images have.
        width: channels of the first stage.
    """

    def __init__(self, classes: int, bands: int = 3, width: int = 64) -> None:
        super().__init__()
        self.grid, self.stride, self.whole_image_layer = 32, 1, None
        self.backbone = PoolingEncoder(bands, width)
        self.decoder = nn.ModuleList()  # from coarse to fine
        channels = width * VGG16_STAGES[-1][1]
        finer = [multiple for _, multiple in VGG16_STAGES[:-1]]
        for (convolutions, _), after in zip(
            reversed(VGG16_STAGES), [*reversed(finer), None], strict=True
        ):
            stage = [convolution_block(channels, channels) for _ in range(convolutions - 1)]
            if after is not None:
                stage.append(convolution_block(channels, width * after))
                channels = width * after
            self.decoder.append(nn.Sequential(*stage))
        self.classify = nn.Conv2d(channels, classes, 3, padding=1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes H W"]:
        """Class scores at every pixel, (B, classes, H, W)."""
        features, places = self.backbone(images)
        for stage, indices in zip(self.decoder, reversed(places), strict=True):
            features = stage(unpool(features, indices))  # twice the height and width
        scores: torch.Tensor = self.classify(features)
        return scores


class SegNetBasic(Network):
    """Four stages of one 7×7 convolution on either side, all of the same width, without biases and
    without ReLU in the decoder (section 3.1): a deepest cell sees 106×106 pixels.

    Args:
        classes: how many classes are scored.
        bands: how many bands the images have.
        width: channels of every stage.
    """

    def __init__(self, classes: int, bands: int = 3, width: int = 64) -> None:
        super().__init__()
        self.grid, self.stride, self.whole_image_layer = 2**BASIC_STAGES, 1, None
        self.encoder = nn.ModuleList(
            convolution_block(bands if stage == 0 else width, width, 7)
            for stage in range(BASIC_STAGES)
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 7, padding=3, bias=False), nn.BatchNorm2d(width)
            )
            for _ in range(BASIC_STAGES)
        )  # fmt: skip
        self.classify = nn.Conv2d(width, classes, 1)

    def forward_scores(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes H W"]:
        """Class scores at every pixel, (B, classes, H, W)."""
        features, places = images, []
        for stage in self.encoder:
            features, indices = F.max_pool2d(stage(features), 2, return_indices=True)
            places.append(indices)
        for stage, indices in zip(self.decoder, reversed(places), strict=True):
            features = stage(unpool(features, indices))
        scores: torch.Tensor = self.classify(features)
        return scores


def unpool(
    features: Float[torch.Tensor, "batch channels h w"],
    indices: Int64[torch.Tensor, "batch channels h w"],
) -> Float[torch.Tensor, "batch channels 2*h 2*w"]:
    """Twice the height and width: each value where the 2×2 pooling found its maximum, else zero.

    Args:
        features: the values.
        indices: of `F.max_pool2d(..., 2, return_indices=True)`, counted within a channel's plane.
    """
    batch, channels, rows, columns = features.shape
    # F.max_unpool2d does this, but on a CPU not in bfloat16.
    planes = features.new_zeros(batch, channels, 4 * rows * columns)
    planes = planes.scatter(2, indices.flatten(2), features.flatten(2))
    return planes.view(batch, channels, 2 * rows, 2 * columns)


def build_segnet(config: SegNetConfig) -> SegNet | SegNetBasic:
    """The network with random weights."""
    match config.name:
        case "segnet":
            return SegNet(config.classes, config.bands, config.width)
        case "segnet-basic":
            return SegNetBasic(config.classes, config.bands, config.width)
