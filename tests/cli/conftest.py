"""A tiny drawn dataset, a model trained on it by the command, and a way to call the command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from perpixel.cli.app import app
from perpixel.delivery.demo import write_scenes

Command = Callable[..., Result]
# One epoch of two steps on a network that is made in a moment.
QUICK = (
    *("--epochs", 1, "--backbone", "test_efficientnet", "--weights", "none", "--workers", 0),
    *("--batch-size", 2, "--crop", "64x96", "--precision", "fp32"),
)


def call(*arguments: object) -> Result:
    """Run `perpixel` in this process; a bug keeps its traceback."""
    torch.set_num_threads(1)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="session")
def command() -> Command:
    """`command("train", folder, "--out", run)` runs the command in this process."""
    return call


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training, two validation and two test scenes; not to be changed."""
    folder = tmp_path_factory.mktemp("drawn") / "scenes"
    write_scenes(folder, 0, {"train": 4, "val": 2, "test": 2})
    return folder


@pytest.fixture
def scenes(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the scenes for a test to spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "scenes"))


@pytest.fixture(scope="session")
def run(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = call("train", drawn, "--out", folder, *QUICK)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def model(run: Path) -> Path:
    """The model of that run."""
    return run / "model.safetensors"
