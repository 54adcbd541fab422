"""The teaching variant against its layers, written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from perpixel.networks import build, network_config
from perpixel.networks.fcn_decoder import _doubling


@pytest.mark.parametrize(("backbone", "parameters"), [("vgg13", 13_334_050), ("vgg16", 18_643_746)])
def test_the_parameters_are_as_many_as_published(backbone: str, parameters: int) -> None:
    network = build(network_config({"name": "fcn-decoder", "backbone": backbone}))
    assert sum(value.numel() for value in network.parameters()) == parameters


def test_each_stage_doubles_and_adds_the_pooling_of_its_size() -> None:
    network = build(network_config({"name": "fcn-decoder", "backbone": "vgg13"})).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 2)
    w = network.state_dict()
    x = images = torch.randn(1, 3, 64, 96)
    pools = []
    for index, stage in enumerate((0, 5, 10, 15, 20)):
        for layer in (stage, stage + 2):
            name = f"backbone.pyramid.features.{layer}"
            x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1))
        x = F.max_pool2d(x, 2)
        pools.append(x)
        assert x.shape[2] == 64 >> (index + 1)
    for stride, pool in zip((16, 8, 4, 2, 1), [*pools[3::-1], torch.zeros(1)], strict=True):
        up = f"up.{stride}"
        x = F.conv_transpose2d(
            x, w[f"{up}.0.weight"], w[f"{up}.0.bias"], stride=2, padding=1, output_padding=1
        )
        x = F.batch_norm(
            F.relu(x), w[f"{up}.2.running_mean"], w[f"{up}.2.running_var"],
            w[f"{up}.2.weight"], w[f"{up}.2.bias"],
        )  # fmt: skip
        x = x + pool
    expected = F.conv2d(x, w["classify.weight"], w["classify.bias"])
    with torch.no_grad():
        found = network(images).logits()
    assert found.shape == (1, 2, 64, 96)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_stage_can_double_without_moving_anything() -> None:
    # What a cell sees lies unevenly around its place, but what it says need not move.
    stage = _doubling(3, 3).eval()
    taps = torch.tensor([0.0, 1.0, 1.0])
    with torch.no_grad():
        stage[0].weight.zero_()
        stage[0].weight[range(3), range(3)] = torch.outer(taps, taps)
        stage[0].bias.zero_()
        stage[2].eps = 0.0
        features = torch.rand(2, 3, 5, 7)
        expected = F.interpolate(features, scale_factor=2, mode="nearest")
        torch.testing.assert_close(stage(features), expected)


@pytest.mark.parametrize("backbone", ["vgg13", "vgg16"])
def test_a_width_narrows_every_layer(backbone: str) -> None:
    options = {"name": "fcn-decoder", "backbone": backbone}
    narrow = build(network_config(options | {"width": 8, "bands": 4, "classes": 5})).state_dict()
    wide = build(network_config(options)).state_dict()
    assert narrow.keys() == wide.keys()
    for name, tensor in wide.items():
        expected = [max(size // 8, 1) if size >= 32 else size for size in tensor.shape]
        if name == "backbone.pyramid.features.0.weight":
            expected[1] = 4
        elif name.startswith("classify"):
            expected[0] = 5
        assert list(narrow[name].shape) == expected
