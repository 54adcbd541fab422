"""The loop: steps, epochs and validations of one run, from a first or a resumed step to the last.

What a run is made of is put together in `run.py`; here it only runs.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import nn

from perpixel.data.dataset import Pair
from perpixel.data.loader import Batch, TrainingLoader
from perpixel.inference.evaluation import evaluate
from perpixel.inference.predictor import Model
from perpixel.metrics import Scores
from perpixel.networks import NetworkConfig
from perpixel.training import files
from perpixel.training.averaging import WeightAverage
from perpixel.training.config import TrainConfig
from perpixel.training.interrupt import Interrupt
from perpixel.training.objective import Objective
from perpixel.training.precision import Precision, autocast
from perpixel.training.report import EpochReport, Listener, StepReport
from perpixel.training.schedule import factor, steps_that_fit
from perpixel.training.state import Progress, pack, save_best

# A wall-clock budget is measured over this share of it, and at least this many steps.
MEASURED_SHARE = 0.03
MEASURED_STEPS = 8
# Between epochs a budgeted run is planned anew when it would miss its end by more than this.
TOLERANCE = 0.01


@dataclass
class Run:
    """Everything a run needs, put together by `run.py`."""

    config: TrainConfig
    folder: Path
    accelerator: Accelerator
    network: nn.Module
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    loader: TrainingLoader
    validation: tuple[Pair, ...]
    network_config: NetworkConfig
    model: Model
    objective: Objective
    precision: Precision
    progress: Progress
    listener: Listener
    begun: float
    provenance: dict[str, Any]
    _losses: list[torch.Tensor] = field(default_factory=list)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The objective of a batch."""
        device = self.accelerator.device
        images = self.model.preprocessing(batch.images.to(device, non_blocking=True))
        score_map = network(images.contiguous(memory_format=torch.channels_last))
        return self.objective(score_map, batch.masks.to(device, non_blocking=True))

    def go(self) -> Scores:
        """Train to the end, or to the end of the step in which Ctrl-C came.

        Returns:
            the best validation scores.
        """
        with Interrupt() as interrupt:
            while not self._finished() and not interrupt.asked:
                self._epoch(interrupt)
        if interrupt.asked:
            self.listener.line(f"stopped; go on with `perpixel train --resume {self.folder}`")
        assert self.progress.best_scores is not None
        return self.progress.best_scores

    def _finished(self) -> bool:
        total = self.progress.plan.total
        return total is not None and self.progress.step >= total

    def _epoch(self, interrupt: Interrupt) -> None:
        progress, begun = self.progress, time.perf_counter()
        first_step = progress.step
        self.network.train()
        self._losses = []
        times: list[float] = []
        for batch in self.loader.epoch(progress.epoch, start=progress.batch):
            self._step(batch)
            now = time.perf_counter()
            times.append(now - begun - sum(times))
            self._measure_budget(times)
            self._report_step(now - begun, progress.step - first_step)
            if self._finished() or interrupt.asked:
                break
        rate = (progress.step - first_step) * self.config.batch_size / (time.perf_counter() - begun)
        if progress.batch >= self.loader.batches:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        training_seconds = time.perf_counter() - begun
        self._validate(rate)
        if self.config.minutes is not None and progress.plan.total is not None:
            step_seconds = training_seconds / max(progress.step - first_step, 1)
            self._replan(step_seconds, time.perf_counter() - begun - training_seconds)
        self._save()

    def _step(self, batch: Batch) -> None:
        progress, config = self.progress, self.config
        # Dropout draws from (seed, step), whatever came before: a resumed run draws the same.
        torch.manual_seed((config.seed << 32) + progress.step)
        if progress.plan.total is None and config.minutes is not None:
            elapsed = time.perf_counter() - self.begun
            progress.plan.anchor_progress = elapsed / (60 * config.minutes)
        rate = config.peak_learning_rate * factor(
            config.schedule, progress.plan.progress(progress.step), config.warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        with autocast(self.precision, self.accelerator.device):
            loss = self.loss(self.network, batch)
        self.accelerator.backward(loss)  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.batch += 1
        progress.learning_rate = rate
        self.average.update(progress.step)
        self._losses.append(loss.detach())

    def _mean_loss(self) -> float:
        return float(torch.stack(self._losses).mean()) if self._losses else math.nan

    def _report_step(self, seconds: float, steps: int) -> None:
        total = self.progress.plan.total
        left = None if total is None else (total - self.progress.step) * seconds / steps
        if self.config.minutes is not None:
            left = 60 * self.config.minutes - (time.perf_counter() - self.begun)
        images_per_second = steps * self.config.batch_size / seconds
        self.listener.step(
            StepReport(self.progress.step, total, self._mean_loss(), images_per_second, left)
        )

    def _measure_budget(self, times: list[float]) -> None:
        """Fix the length of a budgeted run once its first steps have been measured."""
        plan, minutes = self.progress.plan, self.config.minutes
        if plan.total is not None or minutes is None:
            return
        elapsed = time.perf_counter() - self.begun
        # The first steps start worker processes and fill caches: the later half is typical.
        late = sorted(times[len(times) // 2 :])
        typical = late[len(late) // 2]
        enough = len(times) >= MEASURED_STEPS and elapsed >= MEASURED_SHARE * 60 * minutes
        if not enough and elapsed + 2 * typical < 60 * minutes:
            return
        # Until one has been seen, a validation image is taken to cost a third of a training one.
        epoch_end = typical * len(self.validation) / self.config.batch_size / 3
        left = 60 * minutes - elapsed
        more = steps_that_fit(left, typical, self.loader.batches, epoch_end)
        plan.replan(self.progress.step, self.progress.step + more)
        epochs = (self.progress.step + more) / self.loader.batches
        self.listener.line(
            f"budget {minutes:g} min: {typical:.3f} s a step, so {self.progress.step + more} "
            f"steps ({epochs:.1f} epochs)"
        )

    def _replan(self, step_seconds: float, epoch_end: float) -> None:
        """Between epochs: head for the end of the budget with the speed of the last epoch."""
        assert self.config.minutes is not None
        plan, step = self.progress.plan, self.progress.step
        budget = 60 * self.config.minutes
        left = budget - (time.perf_counter() - self.begun)
        if plan.total is None or plan.total <= step:
            return
        more = steps_that_fit(left, step_seconds, self.loader.batches, epoch_end)
        more = max(more, 1)
        miss = abs(step + more - plan.total) * step_seconds
        if miss > TOLERANCE * budget:
            plan.replan(step, step + more)

    def _validate(self, images_per_second: float) -> None:
        progress = self.progress
        # As `perpixel evaluate` does it, so that the figure is reproduced to the last digit.
        scores = evaluate(self.model, self.validation, progress=self.listener.validating)
        best = progress.best_scores is None or not scores.mean_iou <= progress.best_scores.mean_iou
        if best:
            progress.best_scores = scores
            save_best(
                self.folder / files.MODEL,
                self.network_config,
                self.model,
                scores,
                self.provenance,
            )
        progress.epochs_done += 1
        progress.seconds = time.perf_counter() - self.begun
        report = EpochReport(
            epoch=progress.epochs_done,
            step=progress.step,
            seconds=progress.seconds,
            loss=self._mean_loss(),
            learning_rate=progress.learning_rate,
            images_per_second=images_per_second,
            scores=scores,
            best=best,
        )
        files.append_metrics(
            self.folder,
            {
                "epoch": report.epoch,
                "step": report.step,
                "seconds": round(report.seconds, 2),
                "loss": report.loss,
                "learning_rate": report.learning_rate,
                "images_per_second": round(report.images_per_second, 2),
                "validation": scores.as_json(),
            },
        )
        self.listener.epoch(report)

    def _save(self) -> None:
        files.draw_curves(self.folder)
        network = self.accelerator.unwrap_model(self.network)
        tensors, facts = pack(
            network, self.average.network, self.optimizer, self.progress, self.precision
        )
        files.write_state(self.folder, tensors, facts)
