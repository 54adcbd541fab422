"""What is shown while something takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from perpixel.cli.console import OUT
from perpixel.cli.tables import figure

if TYPE_CHECKING:
    from perpixel.training import EpochReport, StepReport


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for `progress(done, total)`, as the library's functions call it."""
    with stages() as watch:

        def progress(done: int, total: int) -> None:
            watch(what, done, total)

        watch(what, 0, None)
        yield progress


@contextmanager
def stages() -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar for `watch(what, done, total)`: for work of several kinds, one at a time."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=OUT, transient=True) as bar:
        current: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int | None) -> None:
            if what not in current:
                # A new bar: the time that is left is told of one kind of work.
                for task in current.values():
                    bar.remove_task(task)
                current.clear()
                current[what] = bar.add_task(what, total=total)
            bar.update(current[what], completed=done, total=total)

        yield watch


class TrainingDisplay:
    """Draws a training run: a bar that moves with every step, a line for every epoch.

    It is a context manager, and a `perpixel.training.Listener`.
    """

    def __init__(self, what: str = "training") -> None:
        self._what = what
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}", markup=False),
            console=OUT,
            transient=True,
        )

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        self._task = self._bar.add_task(self._what, total=None, facts="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        """A fact that the run found worth a line."""
        OUT.print(text, style="dim", soft_wrap=True)

    def reading(self, done: int, total: int) -> None:
        """Show how far the check of the data is."""
        self._bar.update(
            self._task, completed=done, total=total, facts=f"checking {done} of {total} images"
        )

    def validating(self, done: int, total: int) -> None:
        """Show how far a validation is; the bar stays where the run is."""
        self._bar.update(self._task, facts=f"validating {done} of {total} images")

    def step(self, report: StepReport) -> None:
        """Move the bar."""
        left = report.seconds_left
        known = "measuring" if left is None else f"{timedelta(seconds=max(round(left), 0))} left"
        facts = f"loss {report.loss:.3f} · {report.images_per_second:.1f} images/s · {known}"
        self._bar.update(self._task, completed=report.step, total=report.total_steps, facts=facts)

    def epoch(self, report: EpochReport) -> None:
        """Print the validation."""
        best = "  ← best" if report.best else ""
        OUT.print(
            f"epoch {report.epoch:3d}   loss {report.loss:.4f}   "
            f"mean IoU {figure(report.scores.mean_iou)}   "
            f"pixel accuracy {figure(report.scores.pixel_accuracy)}   "
            f"{timedelta(seconds=round(report.seconds))}{best}",
            soft_wrap=True,
        )
