"""`perpixel train` on tiny drawn scenes."""

from __future__ import annotations

import inspect
import os
import signal
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from cli.conftest import QUICK, Command
from perpixel import TrainConfig
from perpixel.cli import progress
from perpixel.cli import train as module
from perpixel.cli.app import app
from perpixel.data.augment import Augmentation
from perpixel.networks import NetworkName
from perpixel.training.choices import RULES


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


def test_no_default_is_shown_for_what_the_data_decide() -> None:
    # What is "auto" by name is shown so, and decided all the same.
    decided = set(RULES) - {"normalisation"}
    trained = get_command(app).commands["train"]  # type: ignore[attr-defined]
    shown = {option.name: option.show_default for option in trained.params}
    assert {name for name in shown if shown[name] == "from the data"} == decided
    assert not decided & set(module.DEFAULTS)
    assert module.DEFAULTS["normalisation"] == "auto"


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


def test_resume_takes_what_no_result_depends_on(command: Command, run: Path) -> None:
    shown = command("train", "--resume", run, "--workers", 0, "--save-minutes", 1)
    assert shown.exit_code == 0, shown.output


def test_options_for_long_runs_arrive(command: Command, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--clip", 1, "--accumulate", 2, "--on-nan", "skip", "--save-minutes", 0)
    more = ("--batch-norm", "frozen", "--recompute", "--tracker", "none", "--precision", "bf16")
    shown = command("train", drawn, "--out", out, *QUICK, *options, *more)
    assert shown.exit_code == 0, shown.output
    config = TrainConfig.read(out / "config.yaml")
    assert (config.clip, config.accumulate, config.on_nan) == (1, 2, "skip")
    assert (config.batch_norm, config.save_minutes, config.recompute) == ("frozen", 0, True)
    assert (config.tracker, config.precision, config.compile) == ("none", "bf16", False)


def test_one_command_begins_a_run_and_goes_on_with_it(
    command: Command, drawn: Path, tmp_path: Path
) -> None:
    line = ("train", drawn, "--out", tmp_path / "run", *QUICK, "--auto-resume")
    for _ in range(2):
        shown = command(*line)
        assert shown.exit_code == 0, shown.output
    assert "resumed after step 2" in shown.stdout
    refused = command(*line, "--seed", 9)
    assert refused.exit_code == 2
    assert "seed is 9; expected 0" in refused.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_is_an_exit_status(
    command: Command,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
) -> None:
    monkeypatch.setattr(progress.TrainingDisplay, "step", lambda *_: os.kill(os.getpid(), number))
    out = tmp_path / "run"
    stopped = command("train", drawn, "--out", out, *QUICK)
    assert stopped.exit_code == status
    assert f"Stopped after step 1; go on with `perpixel train --resume {out}`" in stopped.stderr
    monkeypatch.undo()
    assert command("train", "--resume", out).exit_code == 0


def test_of_several_processes_only_the_first_speaks(
    command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert command("train", "--resume", run).stdout == ""
