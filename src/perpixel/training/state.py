"""What a run carries from step to step, and how it becomes tensors and JSON for the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.inference.predictor import Model
from perpixel.metrics import Scores
from perpixel.networks import NetworkConfig
from perpixel.training.precision import Precision
from perpixel.training.schedule import Plan


@dataclass
class Progress:
    """How far a run is.

    Args:
        plan: its length.
        step: steps done.
        epoch, batch: where in the data the next step reads: pass number and batch in it, from 0.
        epochs_done: validations done.
        seconds: wall-clock time spent, over all sittings.
        learning_rate: of the last step.
        best_scores: of the model that was saved as the best.
    """

    plan: Plan
    step: int = 0
    epoch: int = 0
    batch: int = 0
    epochs_done: int = 0
    seconds: float = 0.0
    learning_rate: float = 0.0
    best_scores: Scores | None = field(default=None)


def save_best(
    path: Path,
    network: NetworkConfig,
    model: Model,
    scores: Scores,
    provenance: dict[str, Any],
) -> None:
    """Write the averaged weights as a whole model, with its scores in the provenance."""
    write_checkpoint(
        path,
        Checkpoint(
            network=network,
            labels=model.labels,
            preprocessing=model.preprocessing,
            provenance={**provenance, "validation": scores.as_json()},
            weights=model.network.state_dict(),
        ),
    )


def pack(
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    precision: Precision,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state of a run as named tensors and as facts that JSON can hold."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    best = progress.best_scores
    facts = {
        "format": 1,
        "plan": progress.plan.as_json(),
        "step": progress.step,
        "epoch": progress.epoch,
        "batch": progress.batch,
        "epochs_done": progress.epochs_done,
        "seconds": progress.seconds,
        "learning_rate": progress.learning_rate,
        "best_counts": None if best is None else best.counts.tolist(),
        "precision": precision,
    }
    return tensors, facts


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
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, moment = name.split(".")
            moments.setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
