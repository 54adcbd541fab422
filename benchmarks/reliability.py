"""Trainings that are killed again and again, compared bit for bit with one that was left alone.

    python benchmarks/reliability.py --kills 50

Three kinds of kill, in turn: at a random moment; while a state is being written, as soon as its
half-written file is there; and by the process itself, just before or after one of the calls that
flush or rename a file. Every kill is SIGKILL. A training that comes to its end before there were
enough kills is compared, and another one begun. Prints a line of JSON; the status is 1 where
anything differed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from perpixel.checkpoint import read_checkpoint
from perpixel.delivery.demo import write_scenes
from perpixel.training import TrainConfig, files, resume, train
from perpixel.training.state_file import read_state

CLOCKS = ("seconds", "images_per_second")
KINDS = ("moment", "writing", "call")


def settings(data: Path, out: Path, workers: int) -> TrainConfig:
    """A tiny network with all that could differ: dropout, balance, Dice, clipping, accumulation."""
    return TrainConfig.of(
        data=data,
        out=out,
        network="fcn32s",
        backbone="test_efficientnet",
        head_channels=8,
        weights="none",
        epochs=4,
        batch_size=2,
        precision="fp32",
        workers=workers,
        save_minutes=0,
        balance=0.3,
        dice=0.2,
        clip=1.0,
        accumulate=2,
        augmentation={"crop": (64, 64), "rotation": 10},
    )


def result(folder: Path) -> dict[str, Any]:
    """What a finished run is, without what a clock says."""
    state, model = read_state(folder), read_checkpoint(folder / files.MODEL)
    metrics = [
        {name: value for name, value in entry.items() if name not in CLOCKS}
        for entry in files.read_metrics(folder)
    ]
    return {
        "metrics": metrics,
        "model": digest(dict(model.weights)),
        "state": digest(state.tensors),
        "step": state.facts["step"],
    }


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """The tensors' names and every bit of them, in one word."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def started(data: Path, folder: Path, workers: int, death: int | None = None) -> int:
    """A process that trains in the folder, or goes on there; its number.

    It is forked from this one, which has imported everything and computed nothing.
    """
    process = os.fork()
    if process:
        return process
    try:
        if death is not None:
            die_at(death)
        if (folder / files.CONFIG).exists():
            resume(folder, workers=workers, save_minutes=0)
        else:
            train(settings(data, folder, workers))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def die_at(call: int) -> None:
    """Kill this process around the `call`-th flush or rename from now."""
    left = call

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            value = function(*arguments)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        return called

    os.fsync = around(os.fsync)
    Path.replace = around(Path.replace)  # type: ignore[method-assign]


def ended(process: int) -> bool | None:
    """Whether the process has ended well; None: it is still at work.

    Raises:
        RuntimeError: it has ended with an error.
    """
    number, status = os.waitpid(process, os.WNOHANG)
    if not number:
        return None
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise RuntimeError("a training ended with an error")
    return True


def until_killed(
    kind: str, data: Path, folder: Path, workers: int, moment: float, draw: random.Random
) -> bool:
    """Train until killed in one of the three ways; whether the end came first."""
    death = draw.randrange(1, 80) if kind == "call" else None
    process = started(data, folder, workers, death)
    until = time.perf_counter() + moment
    while True:
        done = ended(process)
        if done is not None:
            return done
        now = time.perf_counter()
        if kind == "moment" and now >= until:
            break
        if kind == "writing" and now >= until and any(folder.glob(".state*.part")):
            break
        time.sleep(0.0002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def main() -> int:
    """Run as the arguments say; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="at most so many loading processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    root = Path(tempfile.mkdtemp(prefix="perpixel-reliability-"))
    # Killed processes leave their own temporary files: here they go with the rest.
    tempfile.tempdir = str(root)
    data = root / "data"
    write_scenes(data, 0, {"train": 5, "val": 2})
    begun = time.perf_counter()
    reference = started(data, root / "alone", 0)
    if os.waitpid(reference, 0)[1]:
        raise RuntimeError("the training that was left alone ended with an error")
    alone_seconds = time.perf_counter() - begun
    expected = result(root / "alone")

    kills: dict[str, int] = dict.fromkeys(KINDS, 0)
    trainings = different = 0
    folder = root / "killed"
    while sum(kills.values()) < options.kills or folder.exists():
        workers = draw.randint(0, options.workers)
        kind = KINDS[sum(kills.values()) % len(KINDS)]
        # The last one is left to finish.
        enough = sum(kills.values()) >= options.kills
        moment = 1e9 if enough else draw.uniform(0, alone_seconds)
        if not until_killed("moment" if enough else kind, data, folder, workers, moment, draw):
            kills[kind] += 1
            continue
        trainings += 1
        different += result(folder) != expected
        shutil.rmtree(folder)
    shutil.rmtree(root, ignore_errors=True)
    report = {
        "kills": kills,
        "trainings": trainings,
        "different": different,
        "steps_of_a_training": expected["step"],
        "seconds_of_a_training_alone": round(alone_seconds, 1),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(report))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
