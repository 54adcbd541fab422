"""The trainings that docs/networks.md compares: which they are, how one is run or resumed, and what
its run folder says. Each has 20 minutes, one thread and one core."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from measure import processor
from one_run import go

from perpixel.checkpoint import read_checkpoint
from perpixel.training import TrainConfig, files
from perpixel.training.state_file import read_facts

MINUTES = 20
LIGHT = "--backbone efficientnet_lite0 --head-channels 96 --separable"
# Settings of each; {runs} and {vgg16} stand for paths.
TRAININGS = {
    "fcn8s": "--network fcn8s",
    "fcn4s": "--network fcn4s",
    "unet-padded": "--network unet-padded --backbone efficientnet_lite0",
    "deeplabv3": f"--network deeplabv3 {LIGHT}",
    "deeplabv3plus": f"--network deeplabv3plus {LIGHT}",
    "fcn32s-on-vgg16": "--network fcn32s --backbone vgg16 --weights {vgg16}",
    "fcn16s-on-vgg16": "--network fcn16s --backbone vgg16 "
    "--init-from {runs}/fcn32s-on-vgg16/model.safetensors",
    "fcn8s-on-vgg16": "--network fcn8s --backbone vgg16 "
    "--init-from {runs}/fcn16s-on-vgg16/model.safetensors",
}
STAGED = [name for name in TRAININGS if name.endswith("vgg16")]
# The names that options have where they differ from the settings' own.
OPTIONS = {"learning_rate": "lr"}


def planned(name: str) -> str:
    """The command, with short paths."""
    settings = TRAININGS[name].format(runs="runs", vgg16="vgg16.safetensors")
    return f"perpixel train camvid --out runs/{name} {settings} --minutes {MINUTES}"


def train(runs: Path, name: str, data: Path, vgg16: Path | None, *, core: int) -> None:
    """Start the training, or go on with it.

    Raises:
        ValueError: it starts from weights that were not given.
        RuntimeError: it ended with an error.
    """
    if "{vgg16}" in TRAININGS[name] and vgg16 is None:
        raise ValueError(f"{name} starts from VGG16's weights: give their file with --vgg16")
    settings = shlex.split(TRAININGS[name].format(runs=runs, vgg16=vgg16))
    places = [str(data), "--out", str(runs / name)]
    go([*places, *settings, "--minutes", str(MINUTES)], core)


def finished(runs: Path, name: str) -> dict[str, Any] | None:
    """What the run folder says of its best model; None until the run has come to its end."""
    folder = runs / name
    facts = read_facts(folder)
    if facts is None:
        return None
    total = facts["plan"]["total"]
    if total is None or facts["step"] < total:
        return None
    epochs = files.read_metrics(folder)
    best = max(epochs, key=lambda epoch: epoch["validation"]["mean_iou"])
    model = read_checkpoint(folder / files.MODEL)
    config = TrainConfig.read(folder / files.CONFIG)
    return {
        "command": command(config, name),
        "steps": facts["step"],
        "images": facts["step"] * config.batch_size,
        "seconds": round(facts["seconds"], 1),
        "precision": facts["precision"],
        "best_at_step": best["step"],
        "processor": processor(),
        "versions": {name: model.provenance.get(name) for name in ("perpixel", "torch")},
        "validation": best["validation"],
        "epochs": [
            {"step": epoch["step"], "mean_iou": epoch["validation"]["mean_iou"]} for epoch in epochs
        ],
    }


def command(config: TrainConfig, name: str) -> str:
    """The command that makes such a run: every setting that is not the default."""
    parts = ["perpixel train camvid", f"--out runs/{name}"]
    for setting, field in TrainConfig.model_fields.items():
        value = getattr(config, setting)
        # The crop is written into the settings though it comes from the data.
        if setting in ("data", "out", "augmentation"):
            continue
        if value == field.default and setting != "network":
            continue
        flag = OPTIONS.get(setting, setting).replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, Path) or setting == "init_from":
            parts.append(f"--{flag} {_short(Path(value), config.out.parent)}")
        else:
            parts.append(f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}")
    return " ".join(parts)


def _short(path: Path, runs: Path) -> str:
    return f"runs/{path.relative_to(runs)}" if path.is_relative_to(runs) else path.name
