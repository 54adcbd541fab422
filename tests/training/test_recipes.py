"""The paper's training, as the recipe files have it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perpixel.checkpoint import read_checkpoint
from perpixel.networks import build, network_config
from perpixel.networks.paper_fcn import PAPER_INPUT
from perpixel.training import TrainConfig, read_settings, train
from perpixel.training.assembly import _optimizer

FOLDER = Path(__file__).parents[2] / "recipes" / "paper"
RATES = {"fcn32s": 1e-10, "fcn16s": 1e-12, "fcn8s": 1e-14, "fcn8s-at-once": 1e-10}


def recipe(name: str, **values: object) -> TrainConfig:
    settings = {**read_settings(FOLDER / f"{name}.yaml"), "data": "d", "out": "o", **values}
    return TrainConfig.of(**settings)


@pytest.mark.parametrize("name", RATES)
def test_a_recipe_says_what_the_paper_says(name: str) -> None:
    config = recipe(name)
    assert config.network.replace("-vgg16", "") == name
    assert config.peak_learning_rate == RATES[name]
    assert (config.batch_size, config.loss, config.schedule) == (1, "sum", "constant")
    assert (config.momentum, config.decay, config.bias_rate) == (0.99, 5e-4, 2.0)
    assert config.whole_images
    assert config.augmentation.scale == (1.0, 1.0)
    assert config.augmentation.flip == config.augmentation.brightness == 0
    assert config.preprocessing in (PAPER_INPUT, None)
    assert (config.preprocessing is None) == (config.weights == "none")


def test_biases_have_twice_the_rate_and_no_decay() -> None:
    config = recipe("fcn8s", width=1)
    network = build(config.network_config(2, 3))
    groups = _optimizer(network, config).param_groups
    assert [(group["rate"], group["weight_decay"]) for group in groups] == [(1, 5e-4), (2, 0)]
    assert all(value.ndim == 1 for value in groups[1]["params"])


def test_the_encoder_has_its_own_rate() -> None:
    config = recipe("fcn8s", width=1, backbone_rate=0.25)
    network = build(config.network_config(2, 3))
    named = {id(weight): name for name, weight in network.named_parameters()}
    groups = _optimizer(network, config).param_groups
    found = {
        named[id(weight)]: (group["rate"], group["weight_decay"])
        for group in groups
        for weight in group["params"]
    }
    assert found.keys() == set(named.values())
    assert found["conv3_1.weight"] == (0.25, 5e-4)
    assert found["conv3_1.bias"] == (0.5, 0)
    heads = [rates for name, rates in found.items() if name.startswith("score")]
    assert (1, 5e-4) in heads
    assert (2, 0) in heads
    assert all(rate >= 1 for rate, _ in heads)


def test_the_stages_train_on_whole_images_from_32_to_8(boxes: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model, weights = None, []
    for name in ("fcn32s", "fcn16s", "fcn8s"):
        config = recipe(
            name, data=boxes, out=tmp_path / name, width=2, epochs=1, weights="none",
            init_from=model, workers=0,
        )  # fmt: skip
        model = train(config).model
        checkpoint = read_checkpoint(model)
        assert checkpoint.preprocessing == PAPER_INPUT
        weights.append(checkpoint.weights)
    assert weights[0]["fc6.weight"].shape == (128, 16, 7, 7)
    torch.testing.assert_close(weights[2]["fc7.weight"], weights[0]["fc7.weight"])
    assert bool(weights[2]["score_fr.bias"].any())


def test_every_option_of_every_architecture_can_be_given() -> None:
    settings = TrainConfig.of(data="d", out="o", network="fcn16s-vgg16", fc6="1x1")
    assert settings.network_config(4, 5) == network_config(
        {"name": "fcn16s-vgg16", "classes": 4, "bands": 5, "fc6": "1x1"}
    )
