"""Convolutions in their faster form against the ones that they replace."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from perpixel.networks.convolution import DepthwiseConv2d, adapt_convolutions


def gradients(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The layer's result, and its gradient by the images and by each of its parameters."""
    images = images.clone().requires_grad_()
    result = layer(images)
    weights = torch.cos(torch.arange(result.numel(), dtype=result.dtype)).view_as(result)
    (result * weights).sum().backward()
    return [result, images.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (7, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_fixed_padding_is_tensorflows_where_the_stride_divides_the_size(
    kernel: int | tuple[int, int], stride: int, dilation: int, groups: int
) -> None:
    same = nn.Sequential(
        Conv2dSame(4, 8, kernel, stride=stride, dilation=dilation, groups=groups)
    ).double()
    fixed = copy.deepcopy(same)
    adapt_convolutions(fixed)
    assert type(fixed[0]) is not Conv2dSame
    assert fixed.state_dict().keys() == same.state_dict().keys()
    images = torch.randn(2, 4, 5 * stride, 8 * stride, dtype=torch.float64)
    for found, expected in zip(gradients(fixed, images), gradients(same, images), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, "same"), ((3, 5), (1, 0))])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_depthwise_convolution_is_the_plain_one(
    kernel: int | tuple[int, int], padding: int | str | tuple[int, int], mode: str
) -> None:
    plain = nn.Sequential(
        nn.Conv2d(6, 6, kernel, padding=padding, groups=6, bias=False, padding_mode=mode)
    ).double()
    adapted = copy.deepcopy(plain)
    adapt_convolutions(adapted)
    assert type(adapted[0]) is DepthwiseConv2d
    images = torch.randn(2, 6, 9, 11, dtype=torch.float64)
    for found, expected in zip(gradients(adapted, images), gradients(plain, images), strict=True):
        torch.testing.assert_close(found, expected)


def test_depthwise_layers_train_in_fp32_beside_bf16_and_predict_in_bf16() -> None:
    layer = DepthwiseConv2d(6, 6, 3, padding=1, groups=6)
    images = torch.randn(1, 6, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(images).dtype == torch.float32
        with torch.no_grad():
            assert layer(images).dtype == torch.bfloat16


def test_dense_convolutions_are_left_alone() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 8, 3, groups=2))
    before = list(layers)
    adapt_convolutions(layers)
    assert list(layers) == before
