"""`perpixel plan`."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from cli.conftest import Command
from perpixel.training import TrainConfig


def test_a_plan_says_why_and_can_be_trained_with(
    drawn: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "my plan.yaml"
    done = command("plan", drawn, "--out", str(out))
    assert done.exit_code == 0
    assert "crop" in done.output
    program, train, data, *rest = shlex.split(done.stdout.splitlines()[-1])
    assert (program, train, data) == ("perpixel", "train", str(drawn))
    assert rest == ["--config", str(out), "--out", "RUN"]
    settings = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert settings["augmentation"]["crop"] == [128, 192]
    assert all(line.startswith("#") for line in out.read_text().splitlines()[::2])
    config = TrainConfig.of(data=drawn, out=tmp_path / "run", **settings)
    assert config.network == settings["network"]
    before = out.read_text(encoding="utf-8")
    again = command("plan", drawn, "--out", str(out))
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert out.read_text(encoding="utf-8") == before


def test_a_budget_takes_the_place_of_epochs(drawn: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "plan.yaml"
    assert command("plan", drawn, "--minutes", "5", "--out", str(out)).exit_code == 0
    settings = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert settings["minutes"] == 5
    assert "epochs" not in settings


def test_a_folder_that_is_no_dataset_is_wrong_input(tmp_path: Path, command: Command) -> None:
    done = command("plan", str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert "nowhere" in done.stderr
