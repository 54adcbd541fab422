"""One training, begun or gone on with by the command, and what its finished folder says."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from measure import machine

from perpixel.checkpoint import read_checkpoint
from perpixel.training import TrainConfig, files
from perpixel.training.state_file import read_facts


def go(arguments: Sequence[str], core: int | None = None) -> None:
    """`perpixel train` with these arguments: it begins the run, or goes on with it.

    Args:
        core: the one that it has, with one thread; all of them where none is given.

    Raises:
        RuntimeError: it ended with an error.
    """
    program = "from perpixel.cli.app import main; main()"
    command = [sys.executable, "-c", program, "train", *arguments, "--auto-resume"]
    alone = {} if core is None else {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=os.environ | alone)
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it heard Ctrl-C as well, and saves what it has
        raise
    if status:
        raise RuntimeError(f"perpixel train {shlex.join(arguments)} ended with status {status}")


def finished(folder: Path, threads: int | None = None) -> dict[str, Any] | None:
    """What the run folder says of its best model; None until the run has come to its end.

    Args:
        threads: those that it was trained with; as many as this process has where none are given.
    """
    facts = read_facts(folder)
    if facts is None:
        return None
    total = facts["plan"]["total"]
    if total is None or facts["step"] < total:
        return None
    config = TrainConfig.read(folder / files.CONFIG)
    epochs = files.read_metrics(folder)
    best = max(epochs, key=lambda epoch: epoch["validation"]["mean_iou"] or 0.0)
    model = read_checkpoint(folder / files.MODEL)
    settings = config.model_dump(mode="json", exclude={"data", "out", "workers", "tracker"})
    for name in ("init_from", "weights"):
        settings[name] = settings[name] and Path(settings[name]).name
    return {
        "seed": config.seed,
        "settings": settings,
        "network": model.network.model_dump(),
        "parameters": sum(
            tensor.numel()
            for name, tensor in model.weights.items()
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ),
        "steps": facts["step"],
        "seconds": round(facts["seconds"], 1),
        "precision": facts["precision"],
        "best_at_step": best["step"],
        "validation": best["validation"],
        "machine": machine(threads),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "perpixel": version("perpixel"),
        },
    }
