"""A run of a number of minutes: its length, fixed once and kept."""

from __future__ import annotations

import pytest

from perpixel.data.loader import Batch
from perpixel.errors import Stopped
from perpixel.training import StepReport, TrainConfig, loop, resume, run, train
from perpixel.training.state_file import read_state
from training.conftest import outcome
from training.stopping import StopAt, beside


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
