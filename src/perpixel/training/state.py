"""What a run carries from step to step, and how it becomes tensors and JSON for the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from perpixel.labels import LabelSpace
from perpixel.metrics import Scores
from perpixel.training.schedule import Plan

# What of `Progress` is a plain number.
_NUMBERS = (
    *("step", "epoch", "batch", "seconds", "learning_rate", "loss_sum", "loss_steps"),
    *("parts", "skipped"),
)


@dataclass
class Progress:
    """How far a run is.

    Args:
        plan: its length.
        step: steps done.
        epoch, batch: where in the data the next step reads: pass number and batch in it, from 0.
        seconds: wall-clock time spent, over all sittings.
        learning_rate: of the last step.
        loss_sum, loss_steps: the losses since the last validation, and how many they are.
        parts: a batch goes through the network in so many parts.
        skipped: batches that were left out because their loss was no number.
        best_scores: of the model that was saved as the best.
        history: the entries of `metrics.jsonl`, oldest first.
    """

    plan: Plan
    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    parts: int = 1
    skipped: int = 0
    best_scores: Scores | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return self.plan.total is not None and self.step >= self.plan.total

    @property
    def unscored(self) -> bool:
        """Whether steps have been done since the last validation."""
        return not self.history or self.step > self.history[-1]["step"]

    @property
    def mean_loss(self) -> float:
        """The mean of the losses since the last validation; NaN where there are none."""
        return self.loss_sum / self.loss_steps if self.loss_steps else math.nan

    def as_json(self) -> dict[str, Any]:
        """For the state; JSON keeps every bit of a float."""
        best = self.best_scores
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "plan": self.plan.as_json(),
            "best_counts": None if best is None else best.counts.tolist(),
            "history": self.history,
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any], labels: LabelSpace) -> Progress:
        """What `as_json` gave."""
        counts = facts["best_counts"]
        best = None if counts is None else Scores(labels, np.asarray(counts, np.int64))
        return cls(
            plan=Plan(**facts["plan"]),
            best_scores=best,
            history=facts["history"],
            **{name: facts[name] for name in _NUMBERS},
        )


def pack(
    network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """The weights, the averaged weights and the optimizer's moments as named tensors."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{number}.{name}": value
            for name, value in moments.items()
            if value is not None
        }
    return tensors


def unpack(
    tensors: dict[str, torch.Tensor],
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put saved tensors back where `pack` took them from."""
    for prefix, module in (("network.", network), ("average.", average)):
        module.load_state_dict(
            {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
        )
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, moment = name.split(".")
            weight = weights[int(number)]
            if value.shape == weight.shape:
                # In the weights' own order of memory, as the optimizer had made them: other orders
                # take other paths through torch, which may round differently.
                value = torch.empty_like(weight, requires_grad=False).copy_(value)
            moments.setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
