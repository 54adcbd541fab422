"""torchvision's segmentation networks, up to the interpolation with which they end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import nn
from torchvision.models import segmentation

from perpixel.networks.atrous import PooledBatchNorm2d
from perpixel.networks.canvas import Canvas
from perpixel.networks.network import Network
from perpixel.score_map import Placement

Name = Literal[
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
]
# What torchvision's training adds to the loss by, and prediction does not use.
AUXILIARY = "aux_classifier."


class TorchvisionNetwork(Network):
    """One of torchvision's networks, with torchvision's names for its tensors.

    torchvision interpolates the coarse scores to the image's size whatever that is, so a cell is
    H / h pixels high: no whole number unless H is a multiple of the grid. Nothing is padded.

    Args:
        name: of the function in `torchvision.models.segmentation` that makes it.
        classes: how many classes are scored.
        bands: how many bands the images have.
    """

    def __init__(self, name: Name, classes: int, bands: int = 3) -> None:
        super().__init__()
        make = getattr(segmentation, name)
        model: Any = make(weights=None, weights_backbone=None, num_classes=classes, aux_loss=False)
        self.backbone: nn.Module = model.backbone
        self.classifier: nn.Module = model.classifier
        if name.startswith("deeplab"):
            pooling: Any = model.classifier[0].convs[-1]
            # The same in evaluation; in training it takes a batch of one as well.
            pooling[2] = PooledBatchNorm2d(pooling[2].num_features)
        is_resnet = "resnet" in name
        self.classifier_name = name.split("_", 1)[1] if is_resnet else "mobilenetv3_large_100"
        # Their names in a classifier's file: torchvision keeps MobileNet's layers in `features`.
        self.prefix = "" if is_resnet else "features."
        self.grid = self.stride = 8 if is_resnet else 16
        self.whole_image_layer = None
        if not is_resnet:
            self.whole_image_layer = "backbone.4.block.2.avgpool"
        elif name.startswith("deeplab"):
            self.whole_image_layer = "classifier.0.convs.4.0"
        if name.startswith("deeplab"):
            self.image_mean = "classifier.0.convs.4.0"
        first: Any = self.backbone
        first, place = (first, "conv1") if is_resnet else (first["0"], "0")
        setattr(first, place, _for_bands(first.get_submodule(place), bands))

    @property
    def backbone_name(self) -> str:
        """ResNet or MobileNetV3; torchvision's and timm's files of the latter differ in names."""
        return self.classifier_name

    def encoder_names(self, available: Collection[str]) -> dict[str, str]:
        """torchvision's names in a file of the classifier's weights."""
        own = "backbone."
        return {
            name: self.prefix + name.removeprefix(own)
            for name in self.state_dict()
            if name.startswith(own)
        }

    @property
    def canvas(self) -> Canvas:
        """The image alone."""
        return Canvas()

    @property
    def placement(self) -> Placement:
        """Spread over the image, whatever its size."""
        return Placement(None)

    def forward_scores(
        self, canvas: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch classes h w"]:
        """Class scores of images of any height and width from 1 up."""
        scores: torch.Tensor = self.classifier(self.backbone(canvas)["out"])
        return scores


def _for_bands(layer: nn.Conv2d, bands: int) -> nn.Conv2d:
    if bands == layer.in_channels:
        return layer
    return nn.Conv2d(
        bands,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        bias=layer.bias is not None,
    )
