"""What torchrun starts in the tests of several processes: trainings that write down what they do.

    torchrun --nproc_per_node 2 several.py FOLDER run|killed|measured|uneven

Each process appends a line of JSON to FOLDER/RUN.RANK.jsonl for every step it takes and every image
it scores; the main one keeps the gradient of the first step.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from perpixel.data.dataset import Pair
from perpixel.data.loader import Batch
from perpixel.inference.predictor import Model
from perpixel.metrics import Confusion
from perpixel.training import TrainConfig, loop, precision, train, validation
from perpixel.training.step import Stepper

# The step in which one process is killed, where one is.
KILLED_IN = 5
# Three images for one process, two for the other.
UNEVEN = {"batch_size": 5, "accumulate": 3}
# Seconds for one epoch of two processes that do not wait in vain.
LONGEST = 240


def settings(folder: Path, name: str, **more: object) -> TrainConfig:
    """Six scenes in batches of four: two steps an epoch, the second filled up."""
    return TrainConfig.of(
        data=folder / "data",
        out=folder / name,
        network="fcn8s",
        backbone="test_efficientnet",
        head="scores",
        weights="none",
        epochs=4,
        batch_size=4,
        precision="fp32",
        workers=0,
        save_minutes=0,
        augmentation={"crop": (64, 64)},
        **more,
    )


def watch(folder: Path, name: str, rank: int, *, kill: bool) -> None:
    """Let steps and validations be written down."""
    step, update, count = loop.Run._step, Stepper.update, validation.count
    generation = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))

    def note(what: str, number: int, paths: Sequence[Path]) -> None:
        entry = [what, generation, number, [path.name for path in paths]]
        with (folder / f"{name}.{rank}.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def noted_step(self: loop.Run, batch: Batch) -> bool:
        number = self.progress.step + 1
        if kill and rank == 1 and generation == 0 and number == KILLED_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        asked = step(self, batch)
        note("step", number, batch.paths)
        return asked

    def noted_update(self: Stepper, rate: float) -> None:
        file = folder / f"{name}.gradient.safetensors"
        if rank == 0 and not file.exists():
            gradients = dict(self.own.named_parameters())
            save_file(
                {key: value.grad.contiguous() for key, value in gradients.items()},
                file,
            )
        update(self, rate)

    def noted_count(model: Model, pairs: Sequence[Pair], **more: Any) -> Confusion:
        note("scored", 0, [pair.image for pair in pairs])
        return count(model, pairs, **more)

    loop.Run._step = noted_step  # type: ignore[method-assign]
    Stepper.update = noted_update  # type: ignore[method-assign]
    validation.count = noted_count


def unlike(folder: Path, mode: str) -> TrainConfig:
    """Settings by which processes could do different things: one measures, or one has fewer parts
    because its share of a batch of five has fewer images."""
    changed: dict[str, object] = {"measured": {"precision": "auto"}, "uneven": UNEVEN}[mode]
    config = settings(folder, mode, batch_norm="synchronised")
    return config.model_copy(update={"epochs": 1, **changed})


def main(folder: Path, mode: str) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    if mode in ("measured", "uneven"):
        # Processes that wait for each other end with an error, and not never.
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        # Whatever this processor can do, the measurement takes place.
        precision._may_multiply_bf16 = lambda device: True
        watch(folder, mode, rank, kill=False)
        train(unlike(folder, mode))
        return
    if mode == "killed":
        watch(folder, "killed", rank, kill=True)
        train(settings(folder, "killed", batch_norm="frozen"), auto_resume=True)
        return
    original = loop.Run._step, Stepper.update, validation.count
    for kind in ("frozen", "synchronised"):
        loop.Run._step, Stepper.update, validation.count = original
        watch(folder, kind, rank, kill=False)
        train(settings(folder, kind, batch_norm=kind))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
