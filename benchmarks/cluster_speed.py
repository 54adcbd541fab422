"""How many images a second a cluster and one process do, and what each step takes."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cluster_scene import HEIGHT, IMAGES, WIDTH, in_one_process, write_images
from measure import report

from perpixel import kernels
from perpixel.data.decode import read_image
from perpixel.delivery.cluster.run import Workers, predict_on_cluster
from perpixel.delivery.cluster.store import Store
from perpixel.inference.predictor import Model, load

START = 100
LARGE, SIDE = 40, 512


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
