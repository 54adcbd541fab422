"""A listener that stops a run at a step, and settings of a second run beside a first."""

from __future__ import annotations

import os
import signal

from perpixel.training import Silence, StepReport, TrainConfig


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
