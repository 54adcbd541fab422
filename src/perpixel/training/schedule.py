"""The learning rate over a run, and how a run fits itself into a wall-clock budget."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

POLY_POWER = 0.9
# The one-cycle schedule starts at 1/25 of the peak and ends at zero.
START_FACTOR = 1 / 25


def factor(
    schedule: Literal["one-cycle", "poly", "constant"], progress: float, warmup: float
) -> float:
    """The learning rate at `progress` (0 … 1 of the run), as a share of the peak.

    one-cycle: a cosine from 1/25 to 1 during `warmup`, then a cosine to 0 (Smith and Topin,
    arXiv:1708.07120); poly: (1 − progress)^0.9 (Chen et al., DeepLab, section 4.1);
    constant: 1 (Long et al. 2015, section 4.3).
    """
    if schedule == "constant":
        return 1.0
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "poly":
        return float((1.0 - progress) ** POLY_POWER)
    if progress < warmup:
        rise = 0.5 - 0.5 * math.cos(math.pi * progress / warmup)
        return START_FACTOR + (1.0 - START_FACTOR) * rise
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1.0 - warmup))


@dataclass
class Plan:
    """How long the run is, and how far along it every step lies.

    Progress runs straight from the last anchor to 1 at `total` steps, so that a run that is
    planned anew from measured speed neither jumps nor ends with a rate above zero.

    Args:
        total: steps of the run; None while a wall-clock budget has not been measured yet.
        anchor_step: the step at which the plan was last made.
        anchor_progress: the progress at that step.
    """

    total: int | None
    anchor_step: int = 0
    anchor_progress: float = 0.0

    def progress(self, step: int) -> float:
        """How far along the run step number `step` lies, 0 … 1."""
        if self.total is None:
            return self.anchor_progress
        left = max(self.total - self.anchor_step, 1)
        share = (step - self.anchor_step) / left
        return min(self.anchor_progress + (1.0 - self.anchor_progress) * share, 1.0)

    def replan(self, step: int, total: int) -> None:
        """From `step` on, head for the end at `total` steps."""
        self.anchor_progress = self.progress(step)
        self.anchor_step = step
        self.total = max(total, step)

    def as_json(self) -> dict[str, int | float | None]:
        """For the resume state."""
        return asdict(self)


def steps_that_fit(seconds: float, step_seconds: float, epoch_steps: int, epoch_end: float) -> int:
    """How many more steps fit into `seconds`, with a validation of `epoch_end` after each epoch.

    Args:
        seconds: what is left of the budget.
        step_seconds: the measured time of a step.
        epoch_steps: steps in an epoch.
        epoch_end: the measured time between epochs, and after the last step, in seconds.
    """
    last_epoch = max(seconds - epoch_end, 0.0)
    return max(int(last_epoch / (step_seconds + epoch_end / epoch_steps)), 0)
