"""The files of a run folder: written beside and renamed, so that none is ever half there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from perpixel.checkpoint import write_whole
from perpixel.errors import ConfigError, OutputError

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
STATE = "state.safetensors"
CURVES = "curves.png"
_STATE_KEY = "perpixel_state"


def new_run_folder(folder: Path) -> None:
    """Make the folder of a new run.

    Raises:
        ConfigError: it holds a run already, which would be overwritten.
        OutputError: it cannot be made.
    """
    if (folder / CONFIG).exists():
        raise ConfigError(
            folder,
            found="holds a run already",
            mend=f"Give another --out, or go on with `perpixel train --resume {folder}`",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            folder,
            found=f"cannot be made ({error.strerror})",
            mend="Give an --out that can be written",
        ) from None


def write_state(folder: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write the state that a run goes on from: tensors, and everything else as JSON in the header.

    Raises:
        OutputError: it cannot be written; the state before stays.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(folder / STATE, to_bytes(whole, metadata={_STATE_KEY: json.dumps(facts)}))


def read_state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_state` wrote.

    Raises:
        ConfigError: there is no state in the folder, or it is damaged.
    """
    path = folder / STATE
    mend = "Give the folder of a run that has finished at least one epoch, or start a new run"
    if not path.is_file():
        found = "no such folder" if not folder.is_dir() else f"no {STATE} in this folder"
        raise ConfigError(folder, found=found, expected="a run to resume", mend=mend)
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_STATE_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        found = f"is no whole state ({' '.join(str(error).split())})"
        raise ConfigError(path, found=found, mend=mend) from None


def append_metrics(folder: Path, entry: dict[str, Any]) -> None:
    """Add one epoch to `metrics.jsonl`.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / METRICS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OutputError(
            path, found=f"cannot be written ({error.strerror})", mend="Free space and resume"
        ) from None


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The epochs in `metrics.jsonl`, oldest first; none where the run has finished none."""
    path = folder / METRICS
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def keep_metrics_until(folder: Path, step: int) -> None:
    """Drop the epochs after `step`, which a resumed run is about to repeat."""
    kept = [entry for entry in read_metrics(folder) if entry["step"] <= step]
    text = "".join(json.dumps(entry) + "\n" for entry in kept)
    write_whole(folder / METRICS, text.encode())


def draw_curves(folder: Path) -> None:
    """Draw `curves.png` from `metrics.jsonl`: loss, validation scores and learning rate."""
    entries = read_metrics(folder)
    if not entries:
        return
    figure = curves(entries, (9.0, 6.0))
    partial = folder / f".{CURVES}.partial"
    try:
        figure.savefig(partial, format="png", dpi=110)
        partial.replace(folder / CURVES)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            folder / CURVES, found=f"cannot be written ({error.strerror})", mend="Free space"
        ) from None


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
    loss_axes.plot(epochs, [entry["loss"] for entry in entries], "k-", label="training loss")
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
