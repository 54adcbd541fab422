"""What the first call of each kernel costs: `python benchmarks/first_call.py [--rounds 3]`.

Numba compiles a kernel when it is first called, and keeps it on disk. Every figure is of a fresh
process: cold, with an empty cache in a temporary folder, and warm, with the cache that the cold one
left. The images are small, so that compiling is what takes the time. The table has seconds of the
processor's time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module

import torch
from measure import report

from perpixel import kernels
from perpixel.score_map import ScoreMap

SIZE, CLASSES, IGNORED = (96, 128), 11, 255
LATER = 50
COLUMNS = ("kernel", "import s", "cold s", "from disk s", "later ms")


def calls() -> dict[str, Callable[[], object]]:
    """Each kernel on the types that training and evaluation give it."""
    scores = torch.randn(1, CLASSES, 12, 16, requires_grad=True)
    mask = torch.randint(0, CLASSES, (1, *SIZE)).to(torch.uint8)
    score_map = ScoreMap.of(scores, SIZE)
    fixed = ScoreMap.of(scores.detach(), SIZE)

    def loss() -> None:
        kernels.cross_entropy(score_map, mask, ignore_index=IGNORED).backward()

    each: dict[str, Callable[[], object]] = {
        "cross_entropy, forward and backward": loss,
        "argmax": lambda: kernels.argmax(fixed),
        "winner": lambda: kernels.winner(fixed),
        "confusion": lambda: kernels.confusion(mask, mask, classes=CLASSES, ignore_index=IGNORED),
    }
    return each | {"all four": lambda: [call() for call in each.values()]}


def here(name: str) -> dict[str, float]:
    """In this process: seconds to import Numba, of the first call, and of one of many later ones.

    Of the processor's time as well as the clock's: compiling runs on one thread, so where other
    work keeps the machine busy, the former is what an idle machine would need.
    """
    call = calls()[name]
    found: dict[str, float] = {}

    def timed(what: str, work: Callable[[], object]) -> None:
        clock, processor = time.perf_counter(), time.process_time()
        work()
        found[f"{what} clock"] = time.perf_counter() - clock
        found[f"{what} cpu"] = time.process_time() - processor

    timed("import", lambda: import_module("perpixel.kernels.cpu"))
    timed("first", call)
    timed("later", lambda: [call() for _ in range(LATER)])
    return found


def fresh(name: str, cache: str) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--here", name]
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, rounds: int) -> dict[str, object]:
    """One line of the table: medians over the rounds."""
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(fresh(name, cache))
            warm.append(fresh(name, cache))

    def median(runs: list[dict[str, float]], what: str) -> float:
        return statistics.median(run[what] for run in runs)

    return {
        "kernel": name,
        "import s": median(cold + warm, "import cpu"),
        "cold s": median(cold, "first cpu"),
        "from disk s": median(warm, "first cpu"),
        "later ms": median(warm, "later cpu") * 1e3 / LATER,
        "by the clock": {
            "cold s": median(cold, "first clock"),
            "from disk s": median(warm, "first clock"),
        },
    }


def main() -> None:
    """Measure, or in a process of its own make one first call."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", metavar="KERNEL")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(here(options.here)))
        return
    report("first-call-cpu", [row(name, options.rounds) for name in calls()], COLUMNS)


if __name__ == "__main__":
    main()
