"""A cluster whose workers are killed: what is lost, and what is held."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from cluster_scene import IMAGES, SEED, in_one_process
from measure import report

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.run import Workers, predict_on_cluster

KILLS = 10
WORKER = "MapWorker(MapBatches(Worker))"


def workers() -> list[psutil.Process]:
    """The processes of this run's cluster that hold the model."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if WORKER in " ".join(one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


class Memory(threading.Thread):
    """Looks twice a second at what this process and the workers hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.driver: list[int] = []
        self.worker = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.driver.append(psutil.Process().memory_info().rss)
            for one in workers():
                try:
                    self.worker = max(self.worker, one.memory_info().rss)
                except psutil.Error:
                    continue


def rows_of(out: Path) -> list[dict[str, Any]]:
    content = io.BytesIO((out / "manifest.parquet").read_bytes())
    return list(packages.parquet().read_table(content).to_pylist())


def differences(folder: Path, out: Path) -> dict[str, int]:
    """How many masks and rows differ from those of one process, in each way."""
    one, ray = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}
        for root in (folder / "one", out)
    )
    rows = rows_of(out)
    lines = (folder / "one.csv").read_text(encoding="utf-8").splitlines()[1:]
    areas = {line.split(",")[0]: line.split(",")[1:] for line in lines}
    failed = json.loads((folder / "one.json").read_text(encoding="utf-8"))["failed"]
    told = {
        row["image"]: [f"{share:.6f}" for share in row["areas"].values()]
        for row in rows
        if row["mask"]
    }
    left = [path for path in out.rglob("*") if path.is_file() and path.name.endswith(".part")]
    left += list((out / ".perpixel" / "unfinished").glob("*"))
    return {
        "masks that differ": sum(one[name] != ray.get(name) for name in one),
        "masks too many": len(set(ray) - set(one)),
        "images without one row": len(rows)
        - len({row["image"] for row in rows})
        + IMAGES
        - len(rows),
        "rows whose areas differ": sum(areas[name] != told.get(name) for name in areas),
        "rows whose error differs": sum(failed.get(row["image"]) != row["error"] for row in rows),
        "unfinished files": len(left),
    }


def kills(folder: Path) -> None:
    """Two workers, ten of which are killed one after the other."""
    in_one_process(folder)
    out = folder / "killed"
    shutil.rmtree(out, ignore_errors=True)
    draw = random.Random(SEED)
    moments = sorted(draw.sample(range(0, IMAGES - IMAGES // 20), KILLS))
    killed: list[dict[str, int]] = []
    progress = {"done": 0}
    over = threading.Event()

    def kill() -> None:
        for moment in moments:
            while progress["done"] < moment and not over.wait(0.02):
                pass
            over.wait(draw.uniform(0, 0.5))
            while not (alive := workers()) and not over.wait(0.05):
                pass
            if over.is_set():
                return
            victim = draw.choice(alive)
            os.kill(victim.pid, signal.SIGKILL)
            killed.append({"pid": victim.pid, "images done": progress["done"]})

    memory, killer = Memory(), threading.Thread(target=kill, daemon=True)
    begun = time.perf_counter()
    with connected("local", cpus=2):
        memory.start()
        killer.start()
        summary = predict_on_cluster(
            folder / "model.safetensors",
            [str(folder / "images")],
            str(out),
            workers=Workers(2, 2),
            progress=lambda done, _: progress.update(done=done),
        )
        over.set()
        memory.over.set()
    seconds = time.perf_counter() - begun
    found = differences(folder, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = time.perf_counter()
    second = predict_on_cluster(
        folder / "model.safetensors", [str(folder / "images")], str(out), workers=Workers(2, 2)
    )
    again = time.perf_counter() - again
    changed = sum(before.get(path) != path.stat().st_mtime_ns for path in out.rglob("*"))
    half = memory.driver[len(memory.driver) // 2 :]
    row: dict[str, object] = {
        "images": summary.images,
        "kills": len(killed),
        "seconds": seconds,
        **found,
        "failed": len(summary.failed),
        "second run s": again,
        "second run: images done before": second.kept,
        "second run: files touched": changed,
        "driver MiB": max(memory.driver) / 2**20,
        "driver grew in the second half, MiB": (max(half) - half[0]) / 2**20,
        "worker MiB": memory.worker / 2**20,
        "manifest, bytes an image": (out / "manifest.parquet").stat().st_size / summary.images,
        "killed": killed,
    }
    report("cluster-kills", [{"what": name, "figure": value} for name, value in row.items()], TABLE)


TABLE = ("what", "figure")
