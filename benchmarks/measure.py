"""What the benchmarks share: interleaved times, peak memory, the machine's line, the table."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")
PACKAGES = (
    *("perpixel", "torch", "numba", "triton", "onnxruntime", "openvino", "nncf"),
    *("torchmetrics", "segmentation-models-pytorch"),
)


def interleaved(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Each function's median time in seconds, all of them once in every round, warm."""
    return medians(islice(in_rounds(functions), rounds))


def in_rounds(functions: dict[str, Callable[[], object]]) -> Iterator[dict[str, float]]:
    """Round after round, without end: each function's time in seconds, warm.

    A call shorter than 20 ms is timed as one of several in a row, after as many that are not timed:
    what another library's threads still do after its turn is not counted against the next.
    """
    repeats = {}
    for name, function in functions.items():
        function()
        repeats[name] = max(1, min(50, round(0.02 / _timed(function, 1))))
    while True:
        times = {}
        for name, function in functions.items():
            for _ in range(repeats[name] - 1):
                function()
            times[name] = _timed(function, repeats[name])
        yield times


def medians(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """Of each function over all rounds."""
    kept = list(rounds)
    return {name: statistics.median(each[name] for each in kept) for name in kept[0]}


def _timed(function: Callable[[], object], repeats: int) -> float:
    _wait()
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    _wait()
    return (time.perf_counter() - start) / repeats


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory(small: Callable[[], object], function: Callable[[], object]) -> int:
    """The most bytes that one call holds beyond what was held before. Call in a fresh process.

    `small` is the same on little data, so that what is loaded or compiled once is not counted.
    """
    small()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the highest VmRSS
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def memory_in_a_process_of_its_own(script: str, *arguments: str) -> int | None:
    """What `script --memory arguments` prints last, or None where it fails."""
    command = [sys.executable, script, "--memory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def machine(threads: int | None = None) -> str:
    """The machine, the number of threads (this process's if not given) and the versions, in one
    line."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"no {package}")
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = threads or torch.get_num_threads()
    counted = f"{threads} thread{'s' if threads > 1 else ''} of {os.cpu_count()} cores"
    parts = [processor(), f"{counted}{gpu}"]
    return "; ".join([*parts, f"Python {platform.python_version()}", *versions])


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def report(name: str, rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    """Print the table, and keep the run in `results`."""
    console = Console(width=150)
    line = machine()
    console.print(line, highlight=False)
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    moment = time.strftime("%Y-%m-%d-%H%M%S")
    path = RESULTS / f"{name}-{moment}.json"
    path.write_text(json.dumps({"machine": line, "rows": rows}, indent=2) + "\n")
    console.print(f"kept in benchmarks/results/{path.name}")


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
