"""How fast the process is that starts a run, and what it holds."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster_scene import HEIGHT, NAMES, WIDTH
from measure import report

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.images import find_images, mask_names
from perpixel.delivery.cluster.manifest import Manifest, schema
from perpixel.delivery.cluster.outstanding import Task, outstanding
from perpixel.delivery.cluster.rows import done_row
from perpixel.delivery.cluster.store import Entry, Store

FILES = 100_000


class Idle:
    """A worker that has nothing to do: it makes rows."""

    def __call__(self, group: Any) -> Any:
        areas = dict.fromkeys(NAMES, 1 / len(NAMES))
        tasks = [Task(**row) for row in group.to_pylist()]
        rows = [done_row(task, b"", (HEIGHT, WIDTH), areas) for task in tasks]
        return packages.pyarrow().Table.from_pylist(rows, schema=schema(NAMES))


def groups(folder: Path) -> None:
    """How fast the driver is, where the workers cost nothing."""
    rows: list[dict[str, object]] = []
    with connected("local", cpus=2) as ray:
        for size in (8, 256):
            count = size * 400
            tasks = [Task(f"/images/{number:09d}.jpg", 1, "v", "m") for number in range(count)]
            table = packages.pyarrow().Table.from_pylist([asdict(task) for task in tasks])
            blocks = [table.slice(start, size) for start in range(0, count, size)]
            begun = time.perf_counter()
            first: list[float] = []
            data = ray.data.from_blocks(blocks).map_batches(
                Idle,
                batch_size=size,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=1),
            )
            for _ in data.iter_batches(batch_size=None, batch_format="pyarrow"):
                first.append(time.perf_counter())
            seconds = first[-1] - first[0]
            rows.append(
                {
                    "images in a group": size,
                    "groups/s": (len(first) - 1) / seconds,
                    "rows/s": (len(first) - 1) * size / seconds,
                    "with start s": time.perf_counter() - begun,
                }
            )
    report("cluster-groups", rows, ("images in a group", "groups/s", "rows/s", "with start s"))


def listing(folder: Path) -> None:
    """What the driver does before and after, and what it holds; in a process of its own."""
    many = folder / "many"
    if not many.is_dir():
        for number in range(FILES):
            path = many / f"{number // 1000:03d}" / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("cluster.py")),
            "--folder",
            str(folder),
            "planned",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    report("cluster-listing", json.loads(done.stdout), ("step", "s", "MiB"))


def planned(folder: Path) -> None:
    """Lists, finds out what is left, takes all rows and writes the manifest."""
    store = Store(str(folder / "listed"))
    steps: list[dict[str, object]] = []

    def timed(step: str, work: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = work(*arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        steps.append({"step": step, "s": time.perf_counter() - begun, "MiB": peak})
        return result

    packages.pyarrow()
    packages.parquet()
    timed("nothing yet", int)
    images = timed("list", find_images, [str(folder / "many")], store.address)
    names = timed("name", mask_names, images)
    tasks = timed("plan", outstanding, images, names, {}, {})
    manifest = Manifest(store, NAMES, {})
    areas = {name: 1 / len(NAMES) for name in NAMES}

    def rows() -> None:
        for start in range(0, len(tasks), 256):
            part = [done_row(one, b"m", (1, 1), areas) for one in tasks[start : start + 256]]
            manifest.add(packages.pyarrow().Table.from_pylist(part, schema=manifest.schema))

    timed("take rows", rows)
    timed("write the manifest", manifest.finish, [image.address for image in images])
    files = {name: Entry(1, 2e12, "") for name in names}
    known = timed("read the manifest", Manifest(store, NAMES, store.files()).known)
    left = timed("plan again", outstanding, images, names, known, files)
    assert left == []
    print(json.dumps(steps))
