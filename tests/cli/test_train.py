"""`perpixel train` on tiny drawn scenes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

from cli.conftest import QUICK, Command
from perpixel import TrainConfig
from perpixel.cli import train as module
from perpixel.data.augment import Augmentation
from perpixel.networks import NetworkName


def test_a_run_leaves_a_model_and_says_how_good_it_is(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "model.safetensors", "curves.png"} <= names


def test_options_reach_the_configuration(
    command: Command, drawn: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    more = (
        *("--network", "fcn32s", "--head", "scores", "--lr", 0.02, "--optimizer", "sgd"),
        *("--schedule", "poly", "--seed", 5, "--class-weights", "none", "--ema", 0.5),
        *("--rotation", 10, "--scale", 0.9, 1.1, "--init-from", model, "--global-context"),
    )
    shown = command("train", drawn, "--out", out, *QUICK, *more)
    assert shown.exit_code == 0, shown.output
    assert f"from {model}" in shown.stdout
    assert "best mean IoU" in shown.stdout
    config = TrainConfig.read(out / "config.yaml")
    assert config == TrainConfig(
        data=drawn,
        out=out,
        network="fcn32s",
        backbone="test_efficientnet",
        head="scores",
        global_context=True,
        weights="none",
        init_from=model,
        epochs=1,
        batch_size=2,
        optimizer="sgd",
        learning_rate=0.02,
        schedule="poly",
        class_weights="none",
        ema=0.5,
        augmentation=Augmentation(crop=(64, 96), rotation=10, scale=(0.9, 1.1)),
        precision="fp32",
        workers=0,
        seed=5,
    )


def test_the_defaults_in_the_help_are_those_of_the_configuration() -> None:
    fields = {**TrainConfig.model_fields, **Augmentation.model_fields}
    assert tuple(module.NETWORKS.split(", ")) == get_args(NetworkName)
    for name, shown in module.DEFAULTS.items():
        default = fields[name].default
        text = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert shown == text, name
    assert set(module.DEFAULTS) <= set(inspect.signature(module.train).parameters)


def test_an_option_that_is_not_given_leaves_the_default(run: Path) -> None:
    config = TrainConfig.read(run / "config.yaml")
    assert config.ema == TrainConfig.model_fields["ema"].default
    assert config.augmentation.scale == Augmentation().scale


def test_resume_needs_no_data_and_adds_nothing_to_a_finished_run(
    command: Command, run: Path
) -> None:
    before = (run / "metrics.jsonl").read_text(encoding="utf-8")
    shown = command("train", "--resume", run)
    assert shown.exit_code == 0, shown.output
    assert (run / "metrics.jsonl").read_text(encoding="utf-8") == before


def test_resume_takes_no_other_settings(command: Command, run: Path, drawn: Path) -> None:
    for more in ((drawn,), ("--lr", 1)):
        refused = command("train", *more, "--resume", run)
        assert refused.exit_code == 2
        assert "other settings beside it" in refused.stderr


def test_data_and_out_are_asked_for(command: Command, drawn: Path, tmp_path: Path) -> None:
    assert command("train", drawn).stderr.startswith("--out: not given")
    assert command("train", "--out", tmp_path).stderr.startswith("DATA: not given")


def test_settings_that_contradict_each_other_are_one_line(
    command: Command, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    refused = command("train", drawn, "--out", out, "--epochs", 1, "--minutes", 1)
    assert refused.exit_code == 2
    assert "exclude each other" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not out.exists()


def test_a_recipe_is_followed_and_options_go_before_it(
    command: Command, drawn: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "network: fcn32s\nminutes: 9\nmomentum: 0.5\naugmentation: {flip: 0, rotation: 3}\n",
        encoding="utf-8",
    )
    out = tmp_path / "run"
    shown = command("train", drawn, "--config", recipe, "--out", out, *QUICK, "--rotation", 4)
    assert shown.exit_code == 0, shown.output
    config = TrainConfig.read(out / "config.yaml")
    assert (config.network, config.epochs, config.minutes) == ("fcn32s", 1, None)
    assert (config.momentum, config.augmentation.flip) == (0.5, 0)
    assert config.augmentation.rotation == 4


def test_options_against_imbalance_arrive(command: Command, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--dice", 0.5, "--hard-pixels", 0.3, "--balance", 0.25)
    more = ("--class-weights", "effective-number")
    shown = command("train", drawn, "--out", out, *QUICK, *options, *more)
    assert shown.exit_code == 0, shown.output
    config = TrainConfig.read(out / "config.yaml")
    assert (config.dice, config.hard_pixels, config.balance) == (0.5, 0.3, 0.25)
    assert config.class_weights == "effective-number"


def test_an_option_of_another_architecture_is_refused(
    command: Command, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    refused = command("train", drawn, "--out", out, "--network", "segnet", "--head", "scores")
    assert refused.exit_code == 2
    assert "segnet has no option head; its options are width" in refused.stderr
    assert not out.exists()
