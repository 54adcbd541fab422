"""Memory: what is counted on tensors without memory is what real tensors take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perpixel.errors import ConfigError
from perpixel.inference import memory
from perpixel.inference.large import large_images
from perpixel.inference.memory import WORKSPACE, forward_bytes, memory_bytes
from perpixel.networks import build, network_config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2G", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("800M", 800 << 20),
        ("64kb", 64 << 10),
        ("1T", 1 << 40),
        ("123456", 123_456),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert memory_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "2X", "-1G", "0", "G", "1e9", "2 G 3"])
def test_an_amount_that_makes_no_sense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="2G"):
        memory_bytes(text)


def test_without_a_word_most_of_what_is_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    monkeypatch.setattr(memory, "own_memory", lambda: 50)
    assert memory_bytes(None) == 850


def test_a_chain_holds_two_layers_at_a_time_and_a_skip_one_more() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(5))
            self.norm = nn.BatchNorm2d(4)

        def chain(self, images: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                images = layer(images)
            return images

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.chain(images) + images

    network = Skips().train()
    layer = 4 * 4 * 30 * 50
    # The caller holds the input throughout.
    chain = forward_bytes(network, lambda net, images: net.chain(images), (1, 4, 30, 50))
    whole = forward_bytes(network, lambda net, images: net(images), (2, 4, 30, 50))
    assert chain == int(3 * layer * WORKSPACE)
    assert whole == int(3 * 2 * layer * WORKSPACE)
    assert network.training
    assert network.layers[0].weight.device.type == "cpu"


def test_what_works_in_place_takes_nothing_more() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(inplace=True))
    counted = forward_bytes(network, lambda net, images: net(images), (1, 1, 20, 20))
    assert counted == int((1 + 8) * 4 * 400 * WORKSPACE)


def test_counting_leaves_the_network_alone_and_works_where_nothing_is_watched() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8))
    met: list[str] = []
    network[0].register_forward_hook(lambda *_: met.append(network[0].weight.device.type))
    expected = forward_bytes(network, lambda net, images: net(images), (1, 1, 20, 20))
    assert expected > 0
    # While another runs the network, its weights have their numbers.
    assert met == ["cpu"]
    with torch.inference_mode():
        assert forward_bytes(network, lambda net, images: net(images), (1, 1, 20, 20)) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"name": "fcn4s"},
        {"name": "fcn8s-vgg16", "upsampling": "learned"},
        {"name": "fcn-decoder"},
        {"name": "segnet"},
        {"name": "unet"},
        {"name": "unet-padded", "backbone": "resnet34"},
        {"name": "deeplabv3plus", "backbone": "resnet50"},
        {"name": "deeplabv3_resnet101"},
    ],
    ids=lambda options: options["name"],
)
def test_what_is_plenty_is_more_than_any_network_takes(options: dict[str, str]) -> None:
    with torch.device("meta"):
        network = build(network_config({"classes": 150, **options}))
    side = network.canvas.length(572)
    shape = (1, 3, side, side)
    counted = forward_bytes(network, lambda net, images: net.forward_scores(images), shape)
    assert counted / side**2 < 0.75 * large_images._PLENTY
