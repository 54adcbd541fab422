"""The settings of a run are checked when they are made."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from perpixel.errors import ConfigError
from perpixel.networks import NetworkName, options_of
from perpixel.training import TrainConfig


def test_the_yaml_of_a_configuration_reads_back_as_the_same(tmp_path: Path) -> None:
    config = TrainConfig.of(
        data="d", out=tmp_path, minutes=3, weights=Path("w.safetensors"), optimizer="sgd"
    )
    path = tmp_path / "config.yaml"
    path.write_text(config.as_yaml(), encoding="utf-8")
    assert TrainConfig.read(path) == config


def test_both_lengths_are_refused() -> None:
    assert TrainConfig.of(data="d", out="o", minutes=2).epochs is None
    with pytest.raises(ConfigError, match="exclude each other"):
        TrainConfig.of(data="d", out="o", minutes=2, epochs=3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("batch_size", 0),
        ("network", "fcn64s"),
        ("ema", 1.0),
        ("epochs", 0),
        ("learnin_rate", 1),
        ("hard_pixels", 0.0),
        ("dice", -1.0),
        ("balance", 1.1),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.of(data="d", out="o", **{setting: value})
    assert setting in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dice_beside_a_sum_over_pixels_is_refused() -> None:
    with pytest.raises(ConfigError, match="dice goes with loss mean"):
        TrainConfig.of(data="d", out="o", dice=1.0, loss="sum")


def test_rates_follow_the_optimizer_unless_given() -> None:
    assert TrainConfig.of(data="d", out="o").peak_learning_rate == 1e-3
    assert TrainConfig.of(data="d", out="o", optimizer="sgd").peak_learning_rate == 1e-2
    assert TrainConfig.of(data="d", out="o", learning_rate=0.5).peak_learning_rate == 0.5
    assert TrainConfig.of(data="d", out="o", weight_decay=0.0).decay == 0.0


@pytest.mark.parametrize("text", ["", "a: [", "epochs: -1\ndata: d\nout: o\n"])
def test_a_broken_config_file_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        TrainConfig.read(path)
    assert "\n" not in str(caught.value)


def test_every_architecture_can_be_chosen_with_its_own_options_and_no_other() -> None:
    for name in get_args(NetworkName):
        config = TrainConfig.of(data="d", out="o", network=name)
        assert config.network_config(2, 3).name == name
        assert options_of(name) <= set(TrainConfig.model_fields)
    for values, found in [
        ({"network": "segnet", "head": "scores"}, "segnet has no option head"),
        ({"network": "fcn_resnet50", "width": 3}, "it has no options"),
        ({"network": "fcn-decoder", "backbone": "resnet50"}, "backbone = 'resnet50'"),
        ({"batch_size": 2, "whole_images": True}, "batch_size 1"),
    ]:
        with pytest.raises(ConfigError, match=found) as caught:
            TrainConfig.of(data="d", out="o", **values)
        assert "\n" not in str(caught.value)
