"""Backbone: a feature pyramid, with the channels and the stride of each of its features: our own
EfficientNet-Lite, or any of timm's."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import nn

from perpixel.errors import ConfigError
from perpixel.networks.convolution import adapt_convolutions
from perpixel.networks.efficientnet_lite import SIZES, EfficientNetLite

# Weights that were trained with TensorFlow carry its prefix in timm.
TIMM_NAMES = {name: f"tf_{name}" for name in SIZES}
STRIDES = (2, 4, 8, 16, 32)
VGG_WIDTH = 64  # channels of VGG's first stage


class Backbone(nn.Module):
    """A pyramid of features of an image whose height and width are multiples of 32.

    With an output stride of 8 or 16 the deeper stages stop halving the size and dilate their
    convolutions instead (Chen et al. 2017, arXiv:1706.05587, section 3.1).

    Args:
        name: an EfficientNet-Lite from `SIZES`, or a timm model with a feature pyramid.
        bands: how many bands the images have.
        finest: the smallest stride whose features are wanted: 2, 4, 8, 16 or 32.
        output_stride: the largest stride, of the deepest features.
        width: channels of VGG's first stage, and all others in proportion; other backbones have
            their own.

    Attributes:
        channels: the channels of each feature, by its stride, from fine to coarse.
        whole_image_layer: the first layer that looks at the whole image (squeeze-and-excite,
            attention, group norm), or None.

    Raises:
        ConfigError: timm does not know the name, or that model is not a pyramid to stride 32.
    """

    def __init__(
        self,
        name: str,
        bands: int = 3,
        finest: int = 4,
        output_stride: Literal[8, 16, 32] = 32,
        width: int = VGG_WIDTH,
    ) -> None:
        super().__init__()
        self.name = name
        self.pyramid: Any
        lite = name.removeprefix("tf_")
        if lite in SIZES:
            # timm takes seconds to import: without it a small prediction is done sooner.
            self.pyramid = EfficientNetLite(lite, bands, output_stride)
            strides, channels = self.pyramid.strides, self.pyramid.channels
        else:
            self.pyramid, strides, channels = _of_timm(name, bands, output_stride, width)
        self._places = {}
        for stride in (stride for stride in STRIDES if finest <= stride <= output_stride):
            if stride not in strides or max(strides) != output_stride:
                raise _unfit(name, f"its features have strides {sorted(set(strides))}")
            self._places[stride] = len(strides) - 1 - strides[::-1].index(stride)
        self.channels = {stride: channels[place] for stride, place in self._places.items()}
        self.whole_image_layer = None if lite in SIZES else self._probe(bands)

    def forward(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> dict[int, Float[torch.Tensor, "batch channels h w"]]:
        """The features by stride, from fine to coarse; H and W are multiples of 32."""
        features = self.pyramid(images)
        return {stride: features[place] for stride, place in self._places.items()}

    def _probe(self, bands: int) -> str | None:
        """Run once on a small image: do the features have the stated shapes, and which layer
        sees the whole image? Such a layer pools to one cell, or works on a list of places."""
        from timm.layers.grn import GlobalResponseNorm

        seen: list[str] = []
        hooks = []
        for name, module in self.pyramid.named_modules():

            def note(
                module: nn.Module, inputs: tuple[object, ...], output: object, name: str = name
            ) -> None:
                pooled = any(
                    isinstance(value, torch.Tensor)
                    and (value.ndim != 4 or value.shape[1:3] == (1, 1) or value.shape[2:] == (1, 1))
                    for value in (*inputs, output)
                )
                statistics = isinstance(module, nn.GroupNorm | nn.InstanceNorm2d)
                if pooled or statistics or isinstance(module, GlobalResponseNorm):
                    seen.append(name)

            if name:
                hooks.append(module.register_forward_hook(note))
        training = self.pyramid.training
        self.pyramid.eval()
        try:
            with torch.no_grad():
                features = self(torch.zeros(1, bands, 64, 96))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _unfit(self.name, f"it cannot take an image of 64×96 ({error})") from None
        finally:
            self.pyramid.train(training)
            for hook in hooks:
                hook.remove()
        for stride, feature in features.items():
            expected = (1, self.channels[stride], 64 // stride, 96 // stride)
            if tuple(feature.shape) != expected:
                found = f"its feature of stride {stride} has shape {tuple(feature.shape)}"
                raise _unfit(self.name, f"{found} for an image of 64×96, not {expected}")
        return f"backbone.pyramid.{seen[0]}" if seen else None


def _of_timm(
    name: str, bands: int, output_stride: Literal[8, 16, 32], width: int
) -> tuple[nn.Module, list[int], list[int]]:
    """A pyramid of timm's, and the stride and the channels of each of its features."""
    import timm

    if not timm.is_model(name):
        raise _unknown(name)
    is_vgg = name.startswith("vgg")
    # A pyramid has no classifier, yet timm first makes VGG's: a hundred million numbers.
    options: dict[str, Any] = {"mlp_ratio": 1 / 4096} if is_vgg else {}
    if output_stride < 32:
        options["output_stride"] = output_stride
    try:
        pyramid: Any = timm.create_model(
            name, features_only=True, pretrained=False, in_chans=bands, **options
        )
    except (RuntimeError, AssertionError, AttributeError, TypeError, ValueError) as error:
        raise _unfit(name, f"timm has no feature pyramid of it ({error})") from None
    strides = list(pyramid.feature_info.reduction())
    channels = list(pyramid.feature_info.channels())
    if is_vgg:
        pyramid, strides, channels = _pools(pyramid, channels, width)
    adapt_convolutions(pyramid)
    return pyramid, strides, channels


class _Pools(nn.Module):
    """VGG's layers under torchvision's names; its features are what each pooling puts out."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features, pools = images, []
        for layer in self.features:
            features = layer(features)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(features)
        return pools


def _pools(
    pyramid: nn.Module, channels: list[int], width: int
) -> tuple[nn.Module, list[int], list[int]]:
    # timm's VGG gives the last convolution before each pooling; the paper's skips start from
    # pool3 and pool4 themselves (section 4.2), one stride further.
    layers = list(pyramid.children())
    if width != VGG_WIDTH:
        layers = [_of_width(layer, width, first=layer is layers[0]) for layer in layers]
    widths = [count * width // VGG_WIDTH for count in channels[: len(STRIDES)]]
    return _Pools(layers), list(STRIDES), widths


def _of_width(layer: nn.Module, width: int, *, first: bool) -> nn.Module:
    """A layer of VGG with other channels: all but the bands in proportion to the width."""
    if isinstance(layer, nn.Conv2d):
        before = layer.in_channels if first else layer.in_channels * width // VGG_WIDTH
        return nn.Conv2d(before, layer.out_channels * width // VGG_WIDTH, 3, padding=1)
    if isinstance(layer, nn.BatchNorm2d):
        return nn.BatchNorm2d(layer.num_features * width // VGG_WIDTH)
    return layer


def _unknown(name: str) -> ConfigError:
    import timm

    known = dict.fromkeys([*TIMM_NAMES, *timm.list_models()])
    close = difflib.get_close_matches(name, known, n=3)
    return ConfigError(
        "backbone",
        found=f"timm knows no {name!r}",
        mend=f"Use {' or '.join(close) or 'a name that timm.list_models() lists'}",
    )


def _unfit(name: str, found: str) -> ConfigError:
    return ConfigError(
        f"backbone {name}",
        found=" ".join(found.split()),
        expected="features of strides 4, 8, 16 and 32 for images of any size",
        mend="Use a convolutional backbone such as efficientnet_lite0, resnet18 or vgg16",
    )
