"""What happens to a run's process, and that the run ends as if it had not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

import perpixel
from perpixel.data.loader import Batch
from perpixel.errors import ConfigError, PerpixelError, Stopped, TrainingError
from perpixel.training import (
    Silence,
    StepReport,
    TrainConfig,
    files,
    footprint,
    loop,
    resume,
    run,
    train,
)
from perpixel.training.state_file import read_state
from perpixel.training.step import Stepper, is_out_of_memory
from training.conftest import outcome

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability.py"


class StopAt(Silence):
    """Sends SIGTERM after a step; keeps the lines."""

    def __init__(self, step: int = -1) -> None:
        self.at = step
        self.lines: list[str] = []
        self.steps: list[StepReport] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, report: StepReport) -> None:
        self.steps.append(report)
        if report.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def beside(config: TrainConfig, name: str, **settings: object) -> TrainConfig:
    return config.model_copy(update={"out": config.out.with_name(name), **settings})


def test_killed_ten_times_at_random_a_run_ends_as_one_left_alone() -> None:
    source = str(Path(perpixel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "10"],
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(report["kills"].values()) == 10
    assert report["trainings"] >= 1
    assert report["different"] == 0


def test_a_run_goes_on_exactly_with_another_number_of_workers(quick: TrainConfig) -> None:
    train(quick)
    stopped = beside(quick, "stopped")
    with pytest.raises(Stopped):
        train(stopped, StopAt(1))
    resume(stopped.out, workers=2)
    assert outcome(stopped.out) == outcome(quick.out)


def test_a_run_killed_before_its_first_state_begins_again(quick: TrainConfig) -> None:
    train(quick)
    again = beside(quick, "again")
    again.out.mkdir()
    shutil.copy(quick.out / files.CONFIG, again.out)
    said = StopAt()
    resume(again.out, said)
    assert any("begins again" in line for line in said.lines)
    assert outcome(again.out) == outcome(quick.out)


def test_the_state_before_is_used_where_the_last_is_damaged_and_that_is_said(
    quick: TrainConfig,
) -> None:
    train(quick)
    broken = beside(quick, "broken", save_minutes=0)
    with pytest.raises(Stopped):
        train(broken, StopAt(3))
    path = broken.out / files.STATE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    (broken.out / ".state.next.safetensors.1.part").write_bytes(b"torn")
    said = StopAt()
    resume(broken.out, said)
    assert any("damaged" in line and "step 2" in line for line in said.lines)
    assert not list(broken.out.glob(".*"))
    assert outcome(broken.out) == outcome(quick.out)


def test_a_damaged_best_model_is_said_and_replaced(quick: TrainConfig) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(3))
    (quick.out / files.MODEL).write_bytes(b"damaged")
    said = StopAt()
    resume(quick.out, said)
    assert any(files.MODEL in line and "takes its place" in line for line in said.lines)
    outcome(quick.out)


def test_other_settings_or_images_than_a_run_was_begun_with_are_refused(
    quick: TrainConfig,
) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(1))
    config = quick.out / files.CONFIG
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("seed: 0", "seed: 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match="seed is 1; expected 0, with which"):
        resume(quick.out)
    config.write_text(text.replace("workers: 0", "workers: 1"), encoding="utf-8")
    for part in ("images", "masks"):
        (quick.data / "train" / part / "0.png").rename(quick.data / "train" / part / "new.png")
    with pytest.raises(ConfigError, match="other images"):
        resume(quick.out)


@pytest.mark.parametrize("what", ["classes", "disk"])
def test_a_resume_that_is_refused_changes_no_file_of_the_run(quick: TrainConfig, what: str) -> None:
    with pytest.raises(Stopped):
        train(quick.model_copy(update={"save_minutes": 0}), StopAt(3))
    (quick.out / files.STATE).write_bytes(b"damaged")
    before = {path.name: path.read_bytes() for path in quick.out.iterdir()}
    assert files.METRICS in before
    if what == "classes":
        listed = quick.data / "classes.yaml"
        listed.write_text(listed.read_text(encoding="utf-8").replace("box", "crate"))
    else:
        quick.data.rename(quick.data.with_name("elsewhere"))
    with pytest.raises(PerpixelError):
        resume(quick.out)
    assert {path.name: path.read_bytes() for path in quick.out.iterdir()} == before


def test_one_command_begins_a_run_and_goes_on_with_it(quick: TrainConfig) -> None:
    train(quick)
    same = beside(quick, "same")
    with pytest.raises(Stopped):
        train(same, StopAt(1), auto_resume=True)
    with pytest.raises(ConfigError, match="seed is 3; expected 0"):
        train(TrainConfig.of(data=same.data, out=same.out, seed=3), auto_resume=True)
    with pytest.raises(ConfigError, match="holds a run already"):
        train(same)
    train(same, auto_resume=True)
    assert outcome(same.out) == outcome(quick.out)


def test_a_command_that_leaves_a_setting_open_by_name_goes_on_when_repeated(
    quick: TrainConfig,
) -> None:
    train(quick)
    again = TrainConfig.of(
        data=quick.data,
        out=quick.out.with_name("again"),
        **quick.model_dump(include=quick.model_fields_set - {"data", "out", "head"}),
        **{"head": None, "normalisation": "auto", "augmentation": {"crop": None}},
    )
    with pytest.raises(Stopped):
        train(again, StopAt(1), auto_resume=True)
    train(again, auto_resume=True)
    assert outcome(again.out) == outcome(quick.out)
    with pytest.raises(ConfigError, match="normalisation is data; expected weights"):
        train(again.model_copy(update={"normalisation": "data"}), auto_resume=True)


def test_other_masks_than_a_run_was_begun_with_are_refused(quick: TrainConfig) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(1))
    path = quick.data / "train" / "masks" / "1.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[-3:] = 1
    cv2.imwrite(str(path), mask)
    with pytest.raises(ConfigError, match=r"other masks than .*ground has \d+ labelled"):
        resume(quick.out)


class Clock:
    """A clock that moves by a second each step."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_a_budgeted_run_is_exact_from_the_moment_its_length_is_fixed(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = loop.Run._step

    def timed(self: loop.Run, batch: Batch) -> bool:
        asked = step(self, batch)
        clock.now += 1.0
        return asked

    monkeypatch.setattr(loop.Run, "_step", timed)
    ends = []
    for name, stop in (("whole", -1), ("stopped", 9)):
        clock = Clock()
        for module in (loop, run):
            monkeypatch.setattr(module, "time", clock)
        config = beside(quick, name, epochs=None, minutes=0.25)
        said = StopAt(stop)
        if stop > 0:
            with pytest.raises(Stopped):
                train(config, said)
            fixed = read_state(config.out).facts["plan"]["total"]
            assert fixed is not None
            clock.now += 1000.0
            resume(config.out, said)
            assert read_state(config.out).facts["step"] == fixed
        else:
            train(config, said)
        ends.append(outcome(config.out))
    assert ends[0] == ends[1]


def test_a_budget_and_its_length_are_stored_before_the_next_step(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Look(StopAt):
        def step(self, report: StepReport) -> None:
            stored = read_state(quick.out).facts
            if report.total_steps is not None:
                assert stored["plan"]["total"] == report.total_steps
                assert stored["precision"] == "fp32"
            super().step(report)

    said = Look()
    train(quick.model_copy(update={"epochs": None, "minutes": 0.03}), said)
    assert said.steps[-1].total_steps == said.steps[-1].step


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, *, gradient: bool) -> None:
    """Let the loss, or only the gradient, of every batch with this file be NaN."""
    loss = Stepper.loss

    def spoilt(self: Stepper, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        value = loss(self, network, batch)
        if name not in [path.name for path in batch.paths]:
            return value
        if gradient:
            value.register_hook(lambda grad: grad * torch.nan)
            return value
        return value * torch.nan

    monkeypatch.setattr(Stepper, "loss", spoilt)


@pytest.mark.parametrize("gradient", [False, True])
def test_a_loss_that_is_no_number_stops_the_run_names_the_files_and_keeps_the_last_state(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, gradient: bool
) -> None:
    train(quick)
    bad = beside(quick, "bad", save_minutes=0)
    spoil(monkeypatch, "2.png", gradient=gradient)
    with pytest.raises(TrainingError, match=r"no number in step \d, on .*2\.png") as caught:
        train(bad)
    assert "--on-nan skip" in str(caught.value)
    state = read_state(bad.out)
    assert all(bool(torch.isfinite(value).all()) for value in state.tensors.values())
    monkeypatch.undo()
    resume(bad.out)
    assert outcome(bad.out) == outcome(quick.out)


def test_batches_without_a_number_are_skipped_and_counted(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "2.png", gradient=False)
    said = StopAt()
    train(quick.model_copy(update={"on_nan": "skip"}), said)
    assert [entry["skipped"] for entry in files.read_metrics(quick.out)] == [1, 2]
    assert sum("left out" in line and "2.png" in line for line in said.lines) == 2
    tensors = read_state(quick.out).tensors
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())
    # A skipped batch leaves nothing behind, not even in the batch norms.
    counters = [value for name, value in tensors.items() if name.endswith("batches_tracked")]
    assert {int(value) for value in counters} == {2}


def test_a_run_that_skips_everything_stops(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MOST_SKIPPED", 2)
    spoil(monkeypatch, "2.png", gradient=False)
    spoil(monkeypatch, "1.png", gradient=False)
    spoil(monkeypatch, "0.png", gradient=False)
    with pytest.raises(TrainingError, match="step 3"):
        train(quick.model_copy(update={"on_nan": "skip"}))


def short_of_memory(monkeypatch: pytest.MonkeyPatch, images: int, error: Exception) -> None:
    """Let a forward pass fail that sees more images than these."""
    loss = Stepper.loss

    def limited(self: Stepper, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        value = loss(self, network, batch)
        if len(batch.paths) > images:
            raise error
        return value

    monkeypatch.setattr(Stepper, "loss", limited)


def test_out_of_memory_halves_the_batch_repeats_the_step_and_says_so(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = quick.model_copy(update={"batch_size": 4})
    train(quick.model_copy(update={"accumulate": 4}))
    short = beside(quick, "short")
    short_of_memory(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory"))
    said = StopAt()
    train(short, said)
    told = [line for line in said.lines if line.startswith("out of memory in step 1")]
    assert [line.split(" in ")[-1].split(" parts")[0] for line in told] == ["2", "4"]
    # As if the batch had been taken in four parts from the start: the failed tries left nothing.
    assert outcome(short.out) == outcome(quick.out)
    assert read_state(short.out).facts["parts"] == 4


def test_memory_that_fails_the_first_fp16_step_of_all_divides_the_batch(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = quick.model_copy(update={"precision": "fp16"})
    train(quick.model_copy(update={"accumulate": 2}))
    short = beside(quick, "short")
    short_of_memory(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory"))
    train(short)
    assert read_state(short.out).facts["parts"] == 2
    assert outcome(short.out) == outcome(quick.out)


def test_an_image_that_does_not_fit_is_an_error_of_one_line(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match="out of memory in step 1, with the batch of 2 in 2"):
        train(quick)


def test_memory_errors_of_a_cpu_are_known_and_others_are_not_taken_for_them(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    short_of_memory(monkeypatch, 1, RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        train(quick)


def test_a_step_that_would_not_fit_into_memory_is_refused_before_the_run_begins(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = quick.network_config(2, 3)
    one, two = (footprint.step_bytes(network, (32, 64), images) for images in (1, 2))
    monkeypatch.setattr(footprint, "available_memory", lambda: (one + two) // 2)
    with pytest.raises(TrainingError, match=r"GiB that are free. Give --accumulate 2"):
        train(quick)
    assert not quick.out.exists()
    train(quick.model_copy(update={"accumulate": 2}))
    monkeypatch.setattr(footprint, "available_memory", lambda: one // 2)
    with pytest.raises(TrainingError, match="Give a smaller --crop"):
        train(beside(quick, "none"))
