"""What a run tells whoever watches it. The library never prints; the command draws these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from perpixel.metrics import Scores


@dataclass(frozen=True)
class StepReport:
    """One step: its number (from 1), the mean loss of the epoch so far, images a second, and the
    seconds and steps that are left (None while the length of the run is still being measured)."""

    step: int
    total_steps: int | None
    loss: float
    images_per_second: float
    seconds_left: float | None


@dataclass(frozen=True)
class EpochReport:
    """The end of an epoch: its number (from 1), mean training loss, peak learning rate in it,
    and the validation scores of the averaged weights."""

    epoch: int
    step: int
    seconds: float
    loss: float
    learning_rate: float
    images_per_second: float
    scores: Scores
    best: bool


@runtime_checkable
class Listener(Protocol):
    """Whoever watches a run."""

    def line(self, text: str) -> None:
        """A fact worth a line: what was chosen, copied, found."""

    def reading(self, done: int, total: int) -> None:
        """So many of the dataset's files have been checked, before the first step."""

    def step(self, report: StepReport) -> None:
        """A step is done."""

    def validating(self, done: int, total: int) -> None:
        """So many validation images have been predicted."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch and its validation are done."""


class Silence:
    """A listener that does nothing: the default of the Python functions."""

    def line(self, text: str) -> None:
        """Nothing."""

    def reading(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""

    def validating(self, done: int, total: int) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""
