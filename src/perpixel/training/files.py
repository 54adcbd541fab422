"""The files of a run folder, and what is in them."""

from __future__ import annotations

import io
import json
import math
import shlex
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from perpixel.checkpoint import Checkpoint, serialised
from perpixel.errors import ConfigError, OutputError
from perpixel.inference.predictor import Model
from perpixel.metrics import Scores
from perpixel.networks import NetworkConfig
from perpixel.training.report import EpochReport
from perpixel.training.state_file import STATE as STATE

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
CURVES = "curves.png"


def resuming(folder: Path) -> str:
    """The command that goes on with a run, to be pasted into a shell."""
    return f"perpixel train --resume {shlex.quote(str(folder))}"


def refuse_to_overwrite(folder: Path) -> None:
    """Check that a folder holds no run.

    Raises:
        ConfigError: it does.
    """
    if (folder / CONFIG).exists():
        raise ConfigError(
            folder,
            found="holds a run already",
            mend=f"Give another --out, or go on with `{resuming(folder)}`",
        )


def new_run_folder(folder: Path) -> None:
    """Make the folder of a new run.

    Raises:
        ConfigError: it holds a run already, which would be overwritten.
        OutputError: it cannot be made.
    """
    refuse_to_overwrite(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            folder,
            found=f"cannot be made ({error.strerror})",
            mend="Give an --out that can be written",
        ) from None


def metrics_entry(report: EpochReport, skipped: int) -> dict[str, Any]:
    """The entry of an epoch in `metrics.jsonl`.

    Args:
        report: the epoch.
        skipped: batches that were left out so far.
    """
    return {
        "epoch": report.epoch,
        "step": report.step,
        "seconds": round(report.seconds, 2),
        "loss": None if math.isnan(report.loss) else report.loss,
        "learning_rate": report.learning_rate,
        "images_per_second": round(report.images_per_second, 2),
        "skipped": skipped,
        "validation": report.scores.as_json(),
    }


def metrics_bytes(entries: list[dict[str, Any]]) -> bytes:
    """The content of `metrics.jsonl`."""
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def model_bytes(
    network: NetworkConfig, model: Model, scores: Scores, provenance: dict[str, Any]
) -> bytes:
    """The content of `model.safetensors`: the model, with its scores in the provenance."""
    return serialised(
        Checkpoint(
            network=network,
            labels=model.labels,
            preprocessing=model.preprocessing,
            provenance={**provenance, "validation": scores.as_json()},
            weights=model.network.state_dict(),
        )
    )


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The epochs in `metrics.jsonl`, oldest first; none where the run has finished none."""
    path = folder / METRICS
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def curves_bytes(entries: list[dict[str, Any]]) -> bytes:
    """The content of `curves.png`: loss, validation scores and learning rate."""
    content = io.BytesIO()
    curves(entries, (9.0, 6.0)).savefig(content, format="png", dpi=110)
    return content.getvalue()


def curves(entries: list[dict[str, Any]], size: tuple[float, float]) -> Figure:
    """Loss, validation scores and learning rate by epoch.

    Args:
        entries: at least one line of `metrics.jsonl`.
        size: (width, height) in inches.
    """
    epochs = [entry["epoch"] for entry in entries]
    figure = Figure(figsize=size, layout="constrained")
    score_axes, loss_axes = figure.subplots(2, 1, sharex=True)
    for key, label, marker in (
        ("mean_iou", "mean IoU", "o"),
        ("mean_accuracy", "mean accuracy", "s"),
        ("pixel_accuracy", "pixel accuracy", "^"),
    ):
        values = [entry["validation"][key] for entry in entries]
        known = [(x, y) for x, y in zip(epochs, values, strict=True) if y is not None]
        score_axes.plot(*zip(*known, strict=True), marker=marker, markersize=3, label=label)
    best = max(entries, key=lambda entry: entry["validation"]["mean_iou"] or 0.0)
    score = best["validation"]["mean_iou"] or 0.0
    score_axes.axvline(best["epoch"], color="0.6", linewidth=1, linestyle=":")
    score_axes.set_title(f"best mean IoU {score:.4f} after epoch {best['epoch']}")
    score_axes.set_ylabel("validation score")
    score_axes.grid(alpha=0.3)
    score_axes.legend(loc="lower right")
    losses = [math.nan if entry["loss"] is None else entry["loss"] for entry in entries]
    loss_axes.plot(epochs, losses, "k-", label="training loss")
    loss_axes.set_ylabel("training loss")
    loss_axes.set_xlabel("epoch")
    loss_axes.grid(alpha=0.3)
    rate_axes = loss_axes.twinx()
    rates = [entry["learning_rate"] for entry in entries]
    rate_axes.plot(epochs, rates, color="tab:orange", linestyle="--", label="learning rate")
    rate_axes.set_ylabel("learning rate")
    lines = [*loss_axes.get_lines(), *rate_axes.get_lines()]
    loss_axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right")
    return figure
