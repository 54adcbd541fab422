"""Whole runs on tiny drawn images: what they leave, how they end, and how they go on."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perpixel.checkpoint import read_checkpoint
from perpixel.data import loader
from perpixel.data.dataset import Pair
from perpixel.data.layouts import open_dataset
from perpixel.data.loader import Batch
from perpixel.data.sample import Sample
from perpixel.errors import ConfigError, DataError, Stopped
from perpixel.inference.evaluation import evaluate
from perpixel.inference.predictor import load
from perpixel.labels import LabelSpace
from perpixel.metrics import Scores
from perpixel.training import (
    EpochReport,
    Silence,
    StepReport,
    TrainConfig,
    files,
    loop,
    precision,
    resume,
    run,
    state_file,
    train,
)
from training.conftest import outcome


class Watcher(Silence):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[StepReport] = []
        self.epochs: list[EpochReport] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, report: StepReport) -> None:
        self.steps.append(report)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)


def test_a_run_leaves_its_folder_and_the_best_model_reproduces_its_score(
    quick: TrainConfig,
) -> None:
    watcher = Watcher()
    result = train(quick, watcher)
    names = {path.name for path in quick.out.iterdir()}
    states = {files.STATE, state_file.PREVIOUS}
    assert names == {files.CONFIG, files.METRICS, files.MODEL, files.CURVES} | states
    assert [report.step for report in watcher.steps] == [1, 2, 3, 4]
    entries = files.read_metrics(quick.out)
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert result.scores.mean_iou == max(entry["validation"]["mean_iou"] for entry in entries)
    again = evaluate(load(result.model), open_dataset(quick.data).split("val"))
    assert np.array_equal(again.counts, result.scores.counts)
    assert TrainConfig.read(quick.out / files.CONFIG).augmentation.crop == (32, 64)


def test_training_learns_what_is_drawn(quick: TrainConfig) -> None:
    longer = quick.model_copy(
        update={
            "network": "fcn4s",
            "epochs": 30,
            "ema": 0.8,
            "learning_rate": 5e-3,
            "class_weights": "none",
        }
    )
    assert train(longer).scores.mean_iou > 0.8


BALANCED = {
    "class_weights": "effective-number",
    "dice": 0.5,
    "hard_pixels": 0.5,
    "balance": 0.5,
}


@pytest.mark.parametrize("more", [{}, BALANCED])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    quick: TrainConfig, more: dict[str, object]
) -> None:
    quick = quick.model_copy(update=more)
    whole = train(quick)
    halved = quick.model_copy(update={"out": quick.out.with_name("halved")})

    class Stop(Watcher):
        def epoch(self, report: EpochReport) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        train(halved, Stop())
    assert len(files.read_metrics(halved.out)) == 1
    resumed = resume(halved.out)
    first, second = read_checkpoint(whole.model), read_checkpoint(resumed.model)
    assert first.weights.keys() == second.weights.keys()
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name]), name
    assert resumed.scores.mean_iou == whole.scores.mean_iou


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_an_epoch_saves_and_a_resumed_run_ends_the_same(
    quick: TrainConfig, number: signal.Signals
) -> None:
    class Stop(Watcher):
        def step(self, report: StepReport) -> None:
            super().step(report)
            if report.step == 3:
                os.kill(os.getpid(), number)

    watcher = Stop()
    with pytest.raises(Stopped, match=r"after step 3; go on with `perpixel train --resume") as stop:
        train(quick, watcher)
    assert stop.value.signal == number
    # At once: without the steps and the validation that were left of the epoch.
    assert [report.step for report in watcher.steps] == [1, 2, 3]
    assert len(watcher.epochs) == 1
    resumed = Watcher()
    resume(quick.out, resumed)
    assert [report.step for report in resumed.steps] == [4]
    whole = quick.model_copy(update={"out": quick.out.with_name("whole")})
    train(whole)
    assert outcome(quick.out) == outcome(whole.out)


def test_a_signal_during_a_validation_leaves_only_that_to_be_done(quick: TrainConfig) -> None:
    class Stop(Watcher):
        def validating(self, done: int, total: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(quick, Stop())
    assert files.read_metrics(quick.out) == []
    resumed = Watcher()
    resume(quick.out, resumed)
    assert [report.step for report in resumed.steps] == [3, 4]
    assert [report.step for report in resumed.epochs] == [2, 4]
    whole = quick.model_copy(update={"out": quick.out.with_name("whole")})
    train(whole)
    assert outcome(quick.out) == outcome(whole.out)


class Clock:
    """A clock that only moves when a step or a validation says how long it took."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("slower", [1.0, 3.0], ids=["steady", "slows down half-way"])
def test_a_budget_is_spent_and_the_rate_is_decayed_at_its_end(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, slower: float
) -> None:
    clock, step, validate = Clock(), loop.Run._step, loop.shared_scores
    budget = quick.model_copy(update={"epochs": None, "minutes": 1.0})

    def timed_step(self: loop.Run, batch: Batch) -> bool:
        asked = step(self, batch)
        clock.now += 1.0 * (slower if clock.now > 1030.0 else 1.0)
        return asked

    def timed_validation(*args: Any, **settings: Any) -> Scores:
        clock.now += 0.5
        return validate(*args, **settings)

    for module in (loop, run):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(loop.Run, "_step", timed_step)
    monkeypatch.setattr(loop, "shared_scores", timed_validation)
    watcher = Watcher()
    train(budget, watcher)
    assert watcher.steps[-1].step == watcher.steps[-1].total_steps
    # The last of some thirty steps lies one step before the end of the schedule.
    assert watcher.epochs[-1].learning_rate < 0.05 * budget.peak_learning_rate
    assert 54 <= clock.now - 1000.0 <= 66


def test_staged_training_starts_where_the_coarser_network_ended(quick: TrainConfig) -> None:
    settings = {"network": "fcn32s", "head": "scores"}
    coarse = train(quick.model_copy(update=settings))
    finer = quick.model_copy(
        update={
            "network": "fcn16s",
            "head": "scores",
            "init_from": coarse.model,
            "out": quick.out.with_name("finer"),
            "learning_rate": 1e-12,
            "weight_decay": 0.0,
            "epochs": 1,
            "ema": 0.0,
        }
    )
    watcher = Watcher()
    train(finer, watcher)
    assert any(line.startswith(f"from {coarse.model}") for line in watcher.lines)
    before = read_checkpoint(coarse.model).weights
    after = read_checkpoint(finer.out / files.MODEL).weights
    for name, value in before.items():
        if value.ndim > 1:
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9)


def test_two_runs_of_one_seed_are_the_same_and_another_seed_is_not(quick: TrainConfig) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = quick.out.with_name(name)
        train(quick.model_copy(update={"out": out, "seed": seed, "epochs": 1}))
        weights.append(read_checkpoint(out / files.MODEL).weights)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert not all(torch.equal(value, weights[2][name]) for name, value in weights[0].items())


def test_commands_that_are_told_can_be_pasted(tmp_path: Path) -> None:
    for name in ("a", "my run", "it's $HOME"):
        assert shlex.split(files.resuming(tmp_path / name))[3:] == [str(tmp_path / name)]


def test_a_folder_with_a_run_is_not_overwritten(quick: TrainConfig) -> None:
    quick.out.mkdir()
    (quick.out / files.CONFIG).write_text("data: x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds a run already"):
        train(quick)
    assert [path.name for path in quick.out.iterdir()] == [files.CONFIG]


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_a_state_cannot_be_resumed(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    with pytest.raises(ConfigError, match=str(folder)):
        resume(folder)


def test_a_cut_state_is_named_and_not_trained_over(quick: TrainConfig) -> None:
    train(quick.model_copy(update={"epochs": 1}))
    for name in (files.STATE, state_file.PREVIOUS):
        state = quick.out / name
        state.write_bytes(state.read_bytes()[:-100])
    before = {path.name: path.read_bytes() for path in quick.out.iterdir()}
    with pytest.raises(ConfigError, match="no whole state"):
        resume(quick.out)
    assert before == {path.name: path.read_bytes() for path in quick.out.iterdir()}


def test_bad_data_stops_a_run_before_its_folder_is_made(quick: TrainConfig) -> None:
    mask = quick.data / "train" / "masks" / "0.png"
    mask.write_bytes(mask.read_bytes()[:40])
    with pytest.raises(DataError, match=r"0\.png"):
        train(quick)
    assert not quick.out.exists()


@pytest.mark.parametrize("asked", ["auto", "fp32"])
def test_a_damaged_first_image_leaves_no_folder_either(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(precision, "_may_multiply_bf16", lambda device: True)

    def damaged(pair: Pair, labels: LabelSpace) -> Sample:
        raise DataError(pair.image, found="a damaged image", mend="Leave it out")

    monkeypatch.setattr(loader, "read_sample", damaged)
    with pytest.raises(DataError, match=r"\.png: a damaged image"):
        train(quick.model_copy(update={"precision": asked, "tracker": "auto"}))
    assert not quick.out.exists()
