"""A folded copy computes what its network computes, with fewer layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from networks.test_conformance import FAMILY, OTHERS, SMALL, shaken, title
from perpixel.networks import NetworkConfig
from perpixel.networks.convolution import DepthwiseConv2d, FixedPadConv2d
from perpixel.networks.folding import fold, folded
from perpixel.networks.network import Network

# Where a batch norm follows something else than a convolution: here the ReLU after each doubling.
KEPT = {"fcn-decoder": 5}


def lived(config: NetworkConfig) -> Network:
    """A network whose batch norms have seen data: statistics far from 0 and 1, but such that
    signals stay of one size on their way."""
    network = shaken(config).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(2, config.bands, 64, 96))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                module.running_var *= torch.rand(module.num_features) + 0.5
                assert module.running_mean is not None
                module.running_mean += 0.2 * torch.randn(module.num_features)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("config", SMALL + OTHERS + FAMILY, ids=title)
def test_it_computes_the_same(config: NetworkConfig) -> None:
    network = lived(config)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copy = folded(network)
    with torch.no_grad():
        for height, width in [(37, 65), (1, 1)]:
            images = torch.randn(1, config.bands, height, width)
            expected, found = network(images), copy(images)
            assert found.size == expected.size
            assert found.stride == expected.stride
            assert found.offset == expected.offset
            scale = float(expected.scores.abs().max())
            assert float((found.scores - expected.scores).abs().max()) <= 1e-4 * scale
    assert norms(copy) == KEPT.get(config.name, 0)
    assert not any(
        isinstance(module, DepthwiseConv2d | FixedPadConv2d | nn.Dropout)
        for module in copy.modules()
    )
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_in_training_keeps_its_mode() -> None:
    network = shaken(FAMILY[8]).train()
    copy = folded(network)
    assert network.training
    assert not any(module.training for module in copy.modules())
    assert not any(parameter.requires_grad for parameter in copy.parameters())


class Small(Network):
    """A convolution with a batch norm behind it, and something between or beside them."""

    grid, stride, whole_image_layer = 1, 1, None

    def __init__(self, run: Callable[[nn.Module, nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.run = run
        assert self.norm.running_mean is not None
        self.norm.running_mean.normal_()

    def forward_scores(self, canvas: torch.Tensor) -> torch.Tensor:
        return self.run(self.conv, self.norm, canvas)


def shortcut(conv: nn.Module, norm: nn.Module, image: torch.Tensor) -> torch.Tensor:
    features = conv(image)
    return torch.cat((norm(features), features[:, :, :1].expand_as(features)), 1)


def in_place(conv: nn.Module, norm: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return norm(conv(image).relu_())  # type: ignore[no-any-return]


def twice(conv: nn.Module, norm: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return norm(conv(image)) + conv(image.flip(3))  # type: ignore[no-any-return]


def alone(conv: nn.Module, norm: nn.Module, image: torch.Tensor) -> torch.Tensor:
    assert image.shape[1] == 3  # looking at a shape reads nothing
    return norm(conv(image)).relu()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("run", "left"), [(shortcut, 1), (in_place, 1), (twice, 1), (alone, 0)])
def test_a_convolution_with_another_reader_keeps_its_batch_norm(
    run: Callable[[nn.Module, nn.Module, torch.Tensor], torch.Tensor], left: int
) -> None:
    network = Small(run).eval()
    copy = folded(network)
    assert norms(copy) == left
    images = torch.randn(2, 3, 7, 9)
    with torch.no_grad():
        torch.testing.assert_close(copy(images).scores, network(images).scores)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_any_convolution_can_be_folded(
    kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], affine: bool, bias: bool, groups: int
) -> None:
    conv = kind(4, 6, 3, stride=2, padding=1, groups=groups, bias=bias)
    norm = nn.BatchNorm2d(6, affine=affine)
    images = torch.randn(3, 4, 11, 13)
    for _ in range(5):
        norm(conv(images + 1))
    norm.eval()
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    with torch.no_grad():
        expected = norm(conv(images))
        fold(conv, norm)
        torch.testing.assert_close(conv(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (3, 1, 2), (4, 1, 3)])
def test_a_kernel_is_padded_once(kernel: int, stride: int, dilation: int) -> None:
    network = Small(alone).eval()
    network.conv = FixedPadConv2d(3, 4, kernel, stride, dilation=dilation)
    images = torch.randn(1, 3, 12, 18)
    copy = folded(network)
    kinds = {type(layer) for layer in copy.modules()}
    assert nn.Conv2d in kinds
    assert FixedPadConv2d not in kinds
    assert norms(copy) == 0
    with torch.no_grad():
        expected = network.norm(network.conv(images)).relu()
        torch.testing.assert_close(copy.forward_scores(images), expected)
