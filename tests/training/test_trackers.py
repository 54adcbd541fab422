"""Trackers hear of every epoch, and a failing one ends no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perpixel.errors import ConfigError
from perpixel.training import TrainConfig, files, trackers, train
from training.stopping import StopAt


class Recorder:
    """Stands for one of accelerate's trackers."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.settings: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.started = self.finished = False

    def start(self) -> None:
        self.started = True

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.broken:
            raise ConnectionError("no route to host")
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_tracker_hears_the_settings_and_every_epoch(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recorder, opened = Recorder(), []

    def open_recorder(asked: str, folder: Path) -> Recorder:
        opened.append((asked, folder))
        return recorder

    monkeypatch.setattr(trackers, "_opened", open_recorder)
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    train(quick.model_copy(update={"tracker": name}))
    assert opened == [(name, quick.out)]
    assert recorder.settings["network"] == "fcn8s"
    metrics = files.read_metrics(quick.out)
    assert [(step, values["loss"]) for step, values in recorder.logged] == [
        (entry["step"], entry["loss"]) for entry in metrics
    ]
    assert recorder.started
    assert recorder.finished


def test_a_tracker_that_fails_is_said_once_and_the_run_goes_on(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_opened", lambda *_: Recorder(broken=True))
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    said = StopAt()
    train(quick.model_copy(update={"tracker": "auto"}), said)
    assert sum("tensorboard failed (ConnectionError" in line for line in said.lines) == 1
    assert len(files.read_metrics(quick.out)) == 2


def test_a_tracker_that_is_not_installed_is_asked_for_in_vain_unless_it_is_the_default(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    train(quick.model_copy(update={"tracker": "auto"}))
    refused = quick.model_copy(update={"tracker": "wandb", "out": quick.out.with_name("b")})
    with pytest.raises(ConfigError, match="pip install wandb"):
        train(refused)
    # The next try, without it, is not told that a run is there already.
    assert not refused.out.exists()


def test_tensorboard_writes_into_the_run_folder(quick: TrainConfig) -> None:
    pytest.importorskip("tensorboard")
    train(quick.model_copy(update={"tracker": "auto"}))
    assert list((quick.out / "tensorboard").rglob("events.*"))
