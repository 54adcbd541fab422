"""NetworkConfig: everything that decides a network's shape, for every architecture.

Each architecture has its own class, which accepts its own options and no other. `name` tells them
apart, in Python and in a model file's header.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from perpixel.networks.backbone import VGG_WIDTH
from perpixel.networks.deeplab import DeepLabConfig
from perpixel.networks.segnet import SegNetConfig
from perpixel.networks.unet import PaddedUNetConfig, UNetConfig

NetworkName = Literal[
    "fcn32s",
    "fcn16s",
    "fcn8s",
    "fcn4s",
    "fcn32s-vgg16",
    "fcn16s-vgg16",
    "fcn8s-vgg16",
    "fcn8s-vgg16-at-once",
    "fcn-decoder",
    "segnet",
    "segnet-basic",
    "unet",
    "unet-padded",
    "deeplabv3",
    "deeplabv3plus",
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
]


class FCNConfig(BaseModel):
    """A fully convolutional network on a backbone. Together with weights it is the whole network.

    Args:
        name: which stride the class scores have: fcn32s, fcn16s, fcn8s or fcn4s.
        backbone: a timm feature pyramid, or one of the short names in `networks.backbone`.
        classes: how many classes are scored.
        bands: how many bands an image has.
        head: "scores" sums class scores of the levels (the paper's skips), "features" sums
            features and classifies once.
        head_channels: how many feature channels the "features" head has.
        global_context: add the mean of the deepest features over the whole image; a prediction
            then depends on every pixel, and tiles differ from the whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fcn32s", "fcn16s", "fcn8s", "fcn4s"] = "fcn4s"
    backbone: str = "efficientnet_lite0"
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    head: Literal["scores", "features"] = "features"
    head_channels: int = Field(default=96, ge=1)
    global_context: bool = False


class PaperFCNConfig(BaseModel):
    """The paper's own networks on VGG16 (Long, Shelhamer and Darrell 2015).

    Args:
        name: which levels are scored, and whether they were trained in stages or at once.
        classes: how many classes are scored.
        bands: how many bands an image has.
        fc6: "7x7" as in the paper, or "1x1": a simplified network without the padding of 100.
        upsampling: "fixed": all transposed convolutions stay bilinear, as in the released
            networks; "learned-inner": those between levels are learned; "learned": the last too,
            so that the scores are full-size.
        width: channels of VGG16's first stage; 64 in the paper, and all others in proportion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fcn32s-vgg16", "fcn16s-vgg16", "fcn8s-vgg16", "fcn8s-vgg16-at-once"]
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    fc6: Literal["7x7", "1x1"] = "7x7"
    upsampling: Literal["fixed", "learned-inner", "learned"] = "fixed"
    width: int = Field(default=64, ge=1)


class DecoderConfig(BaseModel):
    """The teaching variant: a VGG encoder and as many learned doublings back.

    Args:
        name: "fcn-decoder".
        backbone: "vgg13" (usually trained from scratch) or "vgg16" (usually pretrained).
        classes: how many classes are scored.
        bands: how many bands an image has.
        width: channels of VGG's first stage, and all others in proportion; pretrained weights are
            for 64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fcn-decoder"]
    backbone: Literal["vgg13", "vgg16"] = "vgg16"
    classes: int = Field(default=2, ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)
    width: int = Field(default=VGG_WIDTH, ge=2)


class TorchvisionConfig(BaseModel):
    """A segmentation network of torchvision's, under torchvision's name.

    Args:
        name: one of `torchvision.models.segmentation`.
        classes: how many classes are scored, the background being one.
        bands: how many bands an image has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal[
        "fcn_resnet50",
        "fcn_resnet101",
        "deeplabv3_resnet50",
        "deeplabv3_resnet101",
        "deeplabv3_mobilenet_v3_large",
    ]
    classes: int = Field(ge=1, le=65_535)
    bands: int = Field(default=3, ge=1)


NetworkConfig = (
    FCNConfig
    | PaperFCNConfig
    | DecoderConfig
    | SegNetConfig
    | UNetConfig
    | PaddedUNetConfig
    | DeepLabConfig
    | TorchvisionConfig
)
_UNION: TypeAdapter[NetworkConfig] = TypeAdapter(
    Annotated[NetworkConfig, Field(discriminator="name")]
)


def network_config(values: dict[str, object]) -> NetworkConfig:
    """The configuration with these values; `name` decides of which class it is.

    Raises:
        pydantic.ValidationError: the name is unknown, or a value is not one of that
            architecture's options.
    """
    return _UNION.validate_python(values)


def network_config_from_json(text: str) -> NetworkConfig:
    """What `model_dump_json` wrote.

    Raises:
        pydantic.ValidationError: as `network_config`.
    """
    return _UNION.validate_json(text)


def options_of(name: NetworkName) -> frozenset[str]:
    """What can be chosen of an architecture, apart from its classes and bands."""
    for kind in get_args(NetworkConfig):
        if name in get_args(kind.model_fields["name"].annotation):
            return frozenset(kind.model_fields) - {"name", "classes", "bands"}
    raise ValueError(f"no architecture is called {name!r}")
