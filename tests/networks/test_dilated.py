"""Shifted products compute what a dilated convolution computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from perpixel.networks.dilated import ShiftedProducts, is_shiftable, shift_dilated


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    dilation=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_it_is_the_convolution(
    size: tuple[int, int],
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    channels: tuple[int, int],
    bias: bool,
    last: bool,
) -> None:
    padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    conv = nn.Conv2d(*channels, kernel, padding=padding, dilation=dilation, bias=bias)
    features = torch.randn(2, channels[0], *size)
    if last:
        features = features.to(memory_format=torch.channels_last)
    with torch.no_grad():
        found, expected = ShiftedProducts(conv)(features), conv(features)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_in_bf16_it_is_as_near_as_the_convolution() -> None:
    conv = nn.Conv2d(96, 24, 3, padding=6, dilation=6)
    features = torch.randn(1, 96, 21, 17)
    with torch.no_grad():
        expected = conv(features)
        conv, features = conv.bfloat16(), features.bfloat16()
        found = ShiftedProducts(conv)(features)
        assert found.dtype == torch.bfloat16
        error = float((found - expected).abs().max())
        assert error <= 2 * float((conv(features) - expected).abs().max())


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, padding_mode="reflect"),
        nn.Conv2d(4, 4, 2, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding="valid", dilation=2),
        nn.ConvTranspose2d(4, 4, 3, padding=2, dilation=2),
    ],
)
def test_other_convolutions_stay(conv: nn.Module) -> None:
    assert not is_shiftable(conv)


def test_only_what_gains_is_replaced() -> None:
    dilated = nn.Conv2d(4, 4, 3, padding=4, dilation=4)
    same = nn.Conv2d(4, 4, 3, padding="same", dilation=4)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(dilated, same))
    features = torch.randn(1, 3, 13, 9)
    with torch.no_grad():
        expected = network(features)
        shift_dilated(network, lambda conv: max(conv.dilation) > 1)
        torch.testing.assert_close(network(features), expected)
    kinds = [type(layer) for layer in network.modules() if not list(layer.children())]
    assert kinds == [nn.Conv2d, ShiftedProducts, ShiftedProducts]
