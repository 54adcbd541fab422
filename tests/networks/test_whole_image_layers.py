"""Which layers look at the whole image, which at one pixel, and what lies between."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import window_partition, window_reverse
from torch import nn

from perpixel.networks.backbone import Backbone
from perpixel.networks.deeplab import DeepLabV3Plus
from perpixel.networks.fcn import FCN
from perpixel.networks.receptive_field import receptive_field, tiling


@pytest.mark.parametrize("backbone", ["resnet10t", "test_efficientnet", "convnextv2_atto"])
def test_the_layer_that_looks_at_the_whole_image_is_found(backbone: str) -> None:
    network = FCN(Backbone(backbone), 2, head_channels=4)
    found, stated = receptive_field(network).whole_image_layer, network.whole_image_layer
    assert (found is None) == (stated is None)
    assert found is None or (stated or "").startswith(found)


def test_a_mean_over_the_image_has_the_name_of_the_layer_that_takes_it() -> None:
    with_context = FCN(Backbone("resnet10t"), 2, head_channels=4, global_context=True)
    assert receptive_field(with_context).whole_image_layer == "context"
    deeplab = DeepLabV3Plus(Backbone("resnet10t", 3, 4, 16), 2, 4)
    assert receptive_field(deeplab).whole_image_layer == "atrous.pooled"
    assert receptive_field(deeplab).whole_image_layer == deeplab.whole_image_layer


@pytest.mark.parametrize(
    "layer",
    [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.AdaptiveAvgPool2d(3), nn.Softmax(3)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_look_at_the_whole_image(layer: nn.Module) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.layer = nn.Conv2d(3, 4, 3, padding=1), layer

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.conv(images)
            seen = self.layer(features)
            return features * F.interpolate(seen, features.shape[2:])

    assert receptive_field(Gate()).whole_image_layer == "layer"
    assert receptive_field(Gate()).size == (3, 3)


@pytest.mark.parametrize(
    "layer",
    [nn.Softmax(1), nn.BatchNorm2d(4), nn.Dropout2d(), nn.PReLU(), nn.Hardswish(), nn.GELU()],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_look_at_one_pixel(layer: nn.Module) -> None:
    field = receptive_field(nn.Sequential(nn.Conv2d(3, 4, 1), layer))
    assert (field.size, field.whole_image_layer) == ((1, 1), None)


def test_a_linear_layer_over_channels_and_a_shuffle_are_followed() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 8, 5, padding=2), nn.Linear(8, 8)
            self.shuffle, self.norm = nn.PixelShuffle(2), nn.LayerNorm(8)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.norm(self.linear(self.conv(images).permute(0, 2, 3, 1)))
            batch, rows, columns, channels = features.shape
            tokens = features.reshape(batch, rows * columns, channels).transpose(1, 2)
            groups = tokens.unflatten(2, (rows, columns)).unflatten(1, (2, 4)).transpose(1, 2)
            return self.shuffle(groups.flatten(1, 2))  # type: ignore[no-any-return]

    field = receptive_field(Mixed())
    assert (field.size, field.whole_image_layer) == ((5, 5), None)
    assert field.stride == (Fraction(1, 2), Fraction(1, 2))


class WindowAttention(nn.Module):
    """Self-attention among the cells of each 8×8 window, cut out by timm's own functions."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        windows = window_partition(features.permute(0, 2, 3, 1), (8, 8))
        tokens = windows.flatten(1, 2)
        attended = torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens
        height, width = features.shape[2:]
        merged = window_reverse(attended.view(windows.shape), (8, 8), height, width)
        return merged.permute(0, 3, 1, 2)


def test_attention_in_windows_counts_as_looking_at_the_whole_image() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.attention = nn.Conv2d(3, 4, 3, 2, 1), WindowAttention()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.conv(images)
            return features + self.attention(features)  # type: ignore[no-any-return]

    field = receptive_field(Block())
    assert (field.size, field.stride, field.whole_image_layer) == ((3, 3), (2, 2), "attention")
    assert not tiling(Block()).exact


def test_without_a_way_around_windows_nothing_is_claimed() -> None:
    with pytest.raises(ValueError, match="no rows and columns"):
        receptive_field(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), WindowAttention()))
