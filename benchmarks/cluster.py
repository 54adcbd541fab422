"""Prediction on a Ray cluster of this machine, with workers that are killed.

Five parts, each of some minutes at most, which share a folder:

    python benchmarks/cluster.py --folder build/cluster kills
    python benchmarks/cluster.py --folder build/cluster speed
    python benchmarks/cluster.py --folder build/cluster stages
    python benchmarks/cluster.py --folder build/cluster groups
    python benchmarks/cluster.py --folder build/cluster listing

`kills`: 2,000 images on two workers, a worker SIGKILLed at 10 random moments; every mask and row is
compared with those of one process; a second run; the most memory that each process held. `speed`:
images/s with one and with two single-thread workers, from the 100th image on and with the start,
and of one process. `stages`: the milliseconds of each step for an image, one thread. `groups`: how
many rows of a second the process that started the run takes in, from workers that do nothing.
`listing`: 100,000 files listed and found done, and the memory that it takes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(
    PERPIXEL_RUNTIME="torch",
    PERPIXEL_PRECISION="fp32",
    RAY_AUTH_MODE="disabled",
    OMP_NUM_THREADS="1",
)

import numpy as np
import psutil
import torch
from measure import report
from PIL import Image

from perpixel import kernels
from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.data.decode import read_image
from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.images import find_images, mask_names
from perpixel.delivery.cluster.manifest import Manifest, schema
from perpixel.delivery.cluster.outstanding import Task, outstanding
from perpixel.delivery.cluster.rows import done_row
from perpixel.delivery.cluster.run import Workers, predict_on_cluster
from perpixel.delivery.cluster.store import Entry, Store
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import Model, load
from perpixel.inference.results import Results
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing

IMAGES, HEIGHT, WIDTH, KILLS, SEED = 2000, 96, 128, 10, 0
NAMES = tuple(f"class {number}" for number in range(11))
START = 100
LARGE, SIDE = 40, 512
FILES = 100_000
WORKER = "MapWorker(MapBatches(Worker))"


def write_model(path: Path) -> None:
    """A light FCN with random weights."""
    torch.manual_seed(SEED)
    config = FCNConfig(name="fcn4s", backbone="efficientnet_lite0", classes=len(NAMES))
    network = build(config)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad and weight.ndim == 4:
                weight += 0.02 * torch.randn(weight.shape)
    labels = LabelSpace.of(NAMES)
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    write_checkpoint(path, Checkpoint(config, labels, preprocessing, network.state_dict()))


def write_images(folder: Path, count: int, height: int, width: int) -> None:
    """JPEG photographs of smooth shapes and grain, in ten folders."""
    rng = np.random.default_rng(SEED)
    for number in range(count):
        path = folder / f"{number % 10}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int64)
        grain = rng.integers(-9, 10, smooth.shape)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def damage(folder: Path) -> None:
    """Cut two images off."""
    for number in (123, 1234):
        path = folder / f"{number % 10}" / f"{number:05d}.jpg"
        path.write_bytes(path.read_bytes()[:400])


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


def in_one_process(folder: Path) -> None:
    """The masks and the areas of one process, one thread; made once."""
    if (folder / "one.json").is_file():
        return
    torch.set_num_threads(1)
    model = load(folder / "model.safetensors", "cpu", "torch", "fp32")
    begun = time.perf_counter()
    results = Results(areas=folder / "one.csv")
    summary = predict_folder(model, [folder / "images"], folder / "one", results=results)
    seconds = time.perf_counter() - begun
    failed = {str(path): reason for path, reason in summary.failed}
    content = {"seconds": seconds, "failed": failed}
    (folder / "one.json").write_text(json.dumps(content), encoding="utf-8")


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


def speed(folder: Path) -> None:
    """One and two workers of one thread, and one process."""
    in_one_process(folder)
    rows: list[dict[str, object]] = []
    single = json.loads((folder / "one.json").read_text(encoding="utf-8"))["seconds"]
    rows.append({"way": "one process, one thread", "images/s": IMAGES / single})
    for count in (1, 2, 1, 2):
        out = folder / f"speed-{count}"
        shutil.rmtree(out, ignore_errors=True)
        times: list[tuple[int, float]] = []

        def note(done: int, _: int, times: list[tuple[int, float]] = times) -> None:
            times.append((done, time.perf_counter()))

        begun = time.perf_counter()
        predict_on_cluster(
            folder / "model.safetensors",
            [str(folder / "images")],
            str(out),
            address="local",
            workers=Workers(count, count),
            progress=note,
        )
        seconds = time.perf_counter() - begun
        first = next(place for place, (done, _) in enumerate(times) if done >= START)
        steady = (times[-1][0] - times[first][0]) / (times[-1][1] - times[first][1])
        way = f"{count} worker{'s' * (count > 1)} of one thread"
        rows.append({"way": way, "images/s": steady, "with start": IMAGES / seconds})
    report("cluster-speed", rows, ("way", "images/s", "with start"))


def stages(folder: Path) -> None:
    """The median of each step for an image, one thread, at two sizes."""
    torch.set_num_threads(1)
    model = load(folder / "model.safetensors", "cpu", "torch", "fp32")
    out = Store(str(folder / "stages"))
    if not (folder / "large").is_dir():
        write_images(folder / "large", LARGE, SIDE, SIDE)
    small = sorted((folder / "images").rglob("*.jpg"))[:100]
    large = sorted((folder / "large").rglob("*.jpg"))
    rows: dict[str, dict[str, object]] = {}
    for title, paths in ((f"{WIDTH}×{HEIGHT}", small), (f"{SIDE}×{SIDE}", large)):
        for step, figure in measured_steps(model, out, paths).items():
            rows.setdefault(step, {"step": step})[title] = figure
    columns = ("step", f"{WIDTH}×{HEIGHT}", f"{SIDE}×{SIDE}")
    report("cluster-stages", list(rows.values()), columns)


def measured_steps(model: Model, out: Store, paths: list[Path]) -> dict[str, float]:
    """Milliseconds of each step, and bytes."""
    times: dict[str, list[float]] = {}

    def timed(step: str, work: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = work(*arguments)
        times.setdefault(step, []).append(1e3 * (time.perf_counter() - begun))
        return result

    sizes, masks = [], []
    for path in paths:
        image = timed("decode", read_image, path)
        pixels = np.stack([image.transpose(1, 2, 0)])
        with torch.inference_mode():
            batch = torch.from_numpy(timed("normalise", model.preprocessing.of_bytes, pixels))
            scores = timed("network", model.runtime.scores, batch.permute(0, 3, 1, 2))
            timed("mask", kernels.argmax, scores)
        segmentation = model.class_mask(image, [scores])
        timed("areas", segmentation.areas)
        content = timed("encode", segmentation.png)
        timed("write and flush", out.write, f"{path.stem}.png", content)
        sizes.append(path.stat().st_size)
        masks.append(len(content))
    steps = {step: statistics.median(each) for step, each in times.items()}
    return {**steps, "image, bytes": statistics.mean(sizes), "mask, bytes": statistics.mean(masks)}


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
        [sys.executable, __file__, "--folder", str(folder), "planned"],
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


PARTS = {
    "kills": kills,
    "speed": speed,
    "stages": stages,
    "groups": groups,
    "listing": listing,
    "planned": planned,
}
TABLE = ("what", "figure")


def main() -> None:
    """Measure a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--folder", type=Path, default=Path("build/cluster"))
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").is_file():
        write_images(folder / "images", IMAGES, HEIGHT, WIDTH)
        damage(folder / "images")
        write_model(folder / "model.safetensors")
    PARTS[options.part](folder)


if __name__ == "__main__":
    main()
