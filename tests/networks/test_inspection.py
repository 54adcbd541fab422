"""The layer table: its counts against torch's own counter, its JSON, and its rows."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from perpixel.networks.backbone import Backbone
from perpixel.networks.convolution import FixedPadConv2d
from perpixel.networks.fcn import FCN
from perpixel.networks.inspection import inspect
from perpixel.networks.paper_fcn import PaperFCN
from perpixel.networks.segnet import SegNet, SegNetBasic
from perpixel.networks.unet import UNet

NETWORKS = {
    "fcn8s-vgg16": lambda: PaperFCN("fcn8s-vgg16", 3, width=2),
    "fcn16s on resnet10t": lambda: FCN(Backbone("resnet10t", 3, 16), 3, "scores"),
    "with a mean": lambda: FCN(Backbone("resnet10t", 3, 32), 3, global_context=True),
    "segnet": lambda: SegNet(3, width=2),
    "unet": lambda: UNet(3, width=2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_multiply_adds_are_what_an_independent_count_says(name: str) -> None:
    network = NETWORKS[name]().eval()
    seen = inspect(network, (65, 97))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 65, 97))
    assert 2 * seen.multiply_adds == counter.get_total_flops()
    assert seen.multiply_adds == sum(layer.multiply_adds for layer in seen.layers)
    assert seen.parameters == sum(tensor.numel() for tensor in network.parameters())
    assert seen.parameters == sum(layer.parameters for layer in seen.layers)


def test_shapes_are_those_of_the_size_and_fields_those_of_a_large_image() -> None:
    network = PaperFCN("fcn32s-vgg16", 3, width=1)
    seen = inspect(network, (40, 70))
    rows = {layer.name: layer for layer in seen.layers}
    with torch.no_grad():
        scores = network(torch.zeros(1, 3, 40, 70)).scores
    height, width = scores.shape[2] - 2, scores.shape[3] - 2  # without the ring
    assert rows["score_fr"].shape == (1, 3, height, width)
    field = rows["fc6"].field
    assert field is not None
    assert (field.size, field.stride, field.centre) == ((404, 404), (32, 32), (13, 13))


def test_convolutions_and_poolings_have_rows_and_activations_do_not() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Conv2d(4, 2, 1)
    )
    seen = inspect(network, (8, 12))
    assert [layer.name for layer in seen.layers] == ["0", "2", "4"]
    assert [layer.shape for layer in seen.layers] == [(1, 4, 8, 12), (1, 4, 4, 6), (1, 2, 4, 6)]
    assert [layer.multiply_adds for layer in seen.layers] == [8 * 12 * 4 * 27, 0, 4 * 6 * 4 * 2]


def test_a_row_has_the_name_of_what_is_done_and_not_of_how_values_are_arranged() -> None:
    names = [layer.name for layer in inspect(SegNetBasic(3, width=2), (32, 48)).layers]
    assert names.count("max_unpool2d") == 4
    assert not {"view", "clone", "expand"} & {name.split(".")[-1] for name in names}


def test_zeros_that_pad_a_kernel_are_not_multiplied() -> None:
    layer = FixedPadConv2d(3, 4, 3, stride=2)  # computed with a 4×4 kernel
    assert inspect(layer, (8, 8)).multiply_adds == 4 * 4 * 4 * 3 * 9


def test_a_layer_that_runs_twice_has_its_parameters_once() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    seen = inspect(nn.Sequential(conv, nn.MaxPool2d(2), conv), (8, 8))
    assert [layer.parameters for layer in seen.layers] == [84, 0, 0]
    assert seen.parameters == 84


def test_the_json_is_json() -> None:
    written = inspect(FCN(Backbone("resnet10t", 3, 32), 3), (64, 64)).as_json()
    assert json.loads(json.dumps(written)) == written
    assert written["grid"] == 32
    assert written["exact_in_tiles"] is True
    assert all(layer["stride"][0] >= 1 for layer in written["layers"])
