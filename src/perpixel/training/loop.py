"""The loop: steps, epochs and validations of one run, from a first or a resumed step to the last.

What a run is made of is put together in `assembly.py`; here it only runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from perpixel.data.dataset import Pair
from perpixel.data.loader import Batch, TrainingLoader
from perpixel.errors import Stopped, TrainingError
from perpixel.inference.predictor import Model
from perpixel.metrics import Scores
from perpixel.networks import NetworkConfig
from perpixel.training import files
from perpixel.training.averaging import WeightAverage
from perpixel.training.batch_norm import BatchNorms, to_training
from perpixel.training.budget import Budget
from perpixel.training.config import TrainConfig
from perpixel.training.interrupt import Interrupt
from perpixel.training.keeping import Keeper
from perpixel.training.processes import Processes
from perpixel.training.report import EpochReport, Listener, StepReport
from perpixel.training.schedule import factor
from perpixel.training.state import Progress, pack
from perpixel.training.state_file import state_bytes
from perpixel.training.step import Outcome, Stepper, is_out_of_memory
from perpixel.training.trackers import Tracker
from perpixel.training.validation import shared_scores

# With a disk that cannot be written, a state is tried again after so many seconds.
RETRY_SECONDS = 30.0
# After so many batches in a row without a number the network itself is broken.
MOST_SKIPPED = 50


@dataclass
class Run:
    """Everything a run needs, put together by `assembly.py`."""

    config: TrainConfig
    processes: Processes
    stepper: Stepper
    batch_norms: BatchNorms
    average: WeightAverage
    loader: TrainingLoader
    validation: tuple[Pair, ...]
    network_config: NetworkConfig
    model: Model
    keeper: Keeper
    budget: Budget | None
    progress: Progress
    listener: Listener
    tracker: Tracker | None
    begun: float
    provenance: dict[str, Any]
    facts: dict[str, Any]
    _interrupt: Interrupt = field(default_factory=Interrupt)
    _saved: float = 0.0
    _in_a_row: int = 0

    def go(self) -> Scores:
        """Train to the end.

        Returns:
            the best validation scores.

        Raises:
            Stopped: Ctrl-C or SIGTERM came; the state is saved.
            TrainingError: the loss is no number, or a step does not fit into memory.
            OutputError: the end has come, and something could not be written.
        """
        progress = self.progress
        with self._interrupt:
            if progress.step == 0:
                self.save()
            self._saved = time.perf_counter()
            while not progress.finished or progress.unscored or progress.best_scores is None:
                self._epoch()
            self.keeper.finish()
            if self.tracker is not None:
                self.tracker.finish()
        assert progress.best_scores is not None
        return progress.best_scores

    def save(self) -> bool:
        """Write the state; whether that was possible."""
        self.progress.seconds = time.perf_counter() - self.begun
        self._saved = time.perf_counter()
        if not self.processes.main:
            return True
        tensors = pack(self.stepper.own, self.average.network, self.stepper.optimizer)
        facts = {
            **self.facts,
            **self.progress.as_json(),
            "precision": self.stepper.precision,
            "scaler": self.stepper.scaler.state_dict(),
        }
        return self.keeper.state(state_bytes(tensors, facts))

    def _epoch(self) -> None:
        progress, begun = self.progress, time.perf_counter()
        first_step, whole = progress.step, progress.batch == 0
        to_training(self.stepper.own, self.batch_norms)
        before = begun
        # Without a step to do, only validation is left: it was stopped, or its model was lost.
        batches = () if progress.finished else self.loader.epoch(progress.epoch, progress.batch)
        for batch in batches:
            asked = self._step(batch)
            now = time.perf_counter()
            self._fix_budget(now - before)
            before = now
            self._report_step(now - begun, progress.step - first_step)
            # Several processes stop after the same step: the one at whose start it was said.
            if asked or (self.processes.world == 1 and self._interrupt.asked):
                self._stop()
            if self._due():
                self.save()
            if progress.finished:
                break
        training_seconds = time.perf_counter() - begun
        steps = progress.step - first_step
        self._validate(steps * self.config.batch_size / max(training_seconds, 1e-9))
        if self.budget is not None and steps and whole:
            epoch_end = time.perf_counter() - begun - training_seconds
            self._check_budget(training_seconds / steps, epoch_end)
        self.save()

    def _step(self, batch: Batch) -> bool:
        """One step; whether the run was asked to stop."""
        progress, config = self.progress, self.config
        if progress.plan.total is None:
            progress.plan.anchor_progress = self.processes.from_main(
                lambda: (time.perf_counter() - self.begun) / (60 * (config.minutes or 1.0))
            )
        rate = config.peak_learning_rate * factor(
            config.schedule, progress.plan.progress(progress.step), config.warmup
        )
        outcome = self._gradient(batch)
        progress.step += 1
        progress.batch += 1
        progress.learning_rate = rate
        if outcome.sound:
            self._in_a_row = 0
            self.stepper.update(rate)
            self.average.update(progress.step)
            progress.loss_sum += outcome.loss
            progress.loss_steps += 1
        else:
            self._skip(outcome)
        return outcome.asked

    def _gradient(self, batch: Batch) -> Outcome:
        """The gradient of the batch, in smaller parts where memory does not suffice."""
        while True:
            # Dropout draws from (seed, step), whatever came before: a resumed run draws the same.
            place = (self.config.seed << 32) + (self.processes.rank << 56) + self.progress.step
            torch.manual_seed(place % (1 << 64))
            try:
                return self.stepper.gradient(batch, self.progress.parts, self._interrupt.asked)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not in the handler: there the error's traceback holds on to the memory.
            self.stepper.discard()
            self.halve(len(batch.paths))
            # Before the step: a resumed run divides its batches from the same step on.
            self.save()

    def halve(self, images: int) -> None:
        """Take a batch of so many images in twice as many parts; TrainingError: it cannot be."""
        progress = self.progress
        parts = min(2 * progress.parts, images)
        if parts == progress.parts or self.processes.world > 1:
            mend = "Give a smaller --crop or a lighter --network"
            if self.processes.world > 1:
                # The others wait for this process within their own step: it cannot be repeated.
                mend = f"Start anew with --accumulate {2 * progress.parts}"
            raise TrainingError(
                self.keeper.folder,
                found=f"out of memory in step {progress.step + 1}, with the batch of {images} in "
                f"{progress.parts} parts",
                mend=mend,
            )
        progress.parts = parts
        self.listener.line(
            f"out of memory in step {progress.step + 1}: from here on a batch of "
            f"{self.config.batch_size} goes through the network in {parts} parts, "
            "with the gradient of the whole; the step is repeated"
        )

    def _skip(self, outcome: Outcome) -> None:
        """Leave a batch out whose loss or gradient is no number, or stop there."""
        self.stepper.discard()
        progress = self.progress
        names = ", ".join(str(path) for path in outcome.culprits)
        what = f"loss {outcome.loss}" if outcome.loss - outcome.loss != 0 else "a gradient"
        told = f"{what} that is no number in step {progress.step}, on {names}"
        self._in_a_row += 1
        if self.config.on_nan == "stop" or self._in_a_row > MOST_SKIPPED:
            raise TrainingError(
                self.keeper.folder,
                found=told,
                mend="Look at these images and masks, lower --lr, or leave such batches out "
                "with --on-nan skip; the state is the last good one",
            )
        progress.skipped += 1
        self.listener.line(f"warning: {told}; left out, {progress.skipped} so far")

    def _stop_if_asked(self) -> None:
        if self.processes.any(self._interrupt.asked):
            self._stop()

    def _stop(self) -> None:
        """Save, and end the run as it was asked to.

        Raises:
            Stopped: always.
        """
        saved, folder, step = self.save(), self.keeper.folder, self.progress.step
        where = f"Stopped after step {step}" + ("" if saved else ", which could not be saved")
        signal = max(self.processes.gathered(self._interrupt.signal or 0))
        raise Stopped(f"{where}; go on with `{files.resuming(folder)}`", signal)

    def _due(self) -> bool:
        interval = 60 * self.config.save_minutes
        if self.keeper.failing:
            interval = min(interval, RETRY_SECONDS)
        return time.perf_counter() - self._saved >= interval

    def _report_step(self, seconds: float, steps: int) -> None:
        total = self.progress.plan.total
        left = None if total is None else (total - self.progress.step) * seconds / steps
        if self.config.minutes is not None:
            left = 60 * self.config.minutes - (time.perf_counter() - self.begun)
        images_per_second = steps * self.config.batch_size / seconds
        self.listener.step(
            StepReport(self.progress.step, total, self.progress.mean_loss, images_per_second, left)
        )

    def _fix_budget(self, step_seconds: float) -> None:
        """Fix the length of a budgeted run once its first steps have been measured."""
        plan, budget = self.progress.plan, self.budget
        if budget is None or plan.total is not None:
            return
        elapsed = time.perf_counter() - self.begun
        line = budget.fix(plan, self.progress.step, step_seconds, elapsed)
        self._take_plan(line)
        if self.progress.plan.total is not None:
            # Before it takes effect: from here on a resumed run does exactly these steps.
            self.save()

    def _check_budget(self, step_seconds: float, epoch_end: float) -> None:
        assert self.budget is not None
        elapsed = time.perf_counter() - self.begun
        plan, step = self.progress.plan, self.progress.step
        self._take_plan(self.budget.check(plan, step, step_seconds, epoch_end, elapsed))

    def _take_plan(self, line: str | None) -> None:
        """Let the main process's plan be everyone's: they have measured different times."""
        self.progress.plan = self.processes.from_main(lambda: self.progress.plan)
        if line is not None:
            self.listener.line(line)

    def _validate(self, images_per_second: float) -> None:
        progress = self.progress
        # Asked of all together after each image, so that every process stops at the same one.
        scores = shared_scores(
            self.model, self.validation, self.processes, self.listener, self._stop_if_asked
        )
        best = progress.best_scores is None or not scores.mean_iou <= progress.best_scores.mean_iou
        if best:
            progress.best_scores = scores
            content = files.model_bytes(self.network_config, self.model, scores, self.provenance)
            self.keeper.put(files.MODEL, content)
        report = EpochReport(
            epoch=len(progress.history) + 1,
            step=progress.step,
            seconds=time.perf_counter() - self.begun,
            loss=progress.mean_loss,
            learning_rate=progress.learning_rate,
            images_per_second=images_per_second,
            scores=scores,
            best=best,
        )
        progress.history.append(files.metrics_entry(report, progress.skipped))
        if progress.batch >= self.loader.batches:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.loss_sum, progress.loss_steps = 0.0, 0
        if self.processes.main:
            self.keeper.put(files.METRICS, files.metrics_bytes(progress.history))
            self.keeper.put(files.CURVES, files.curves_bytes(progress.history))
        self.listener.epoch(report)
        if self.tracker is not None:
            self.tracker.epoch(report)
