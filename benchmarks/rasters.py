"""Megapixels a second and peak memory of GeoTIFFs of any size: `python benchmarks/rasters.py`.

Makes RGB GeoTIFFs of 10, 100, 400 and 1,200 megapixels (the last is 40,000 × 30,000), window by
window, and segments each with the light FCN by `perpixel predict --memory 2G` in a fresh process.
Peak memory is that process's resident set, which the kernel keeps count of. `--sizes 10 100` takes
some of them; the seconds that the others will take are estimated from the smallest.

`--kill` predicts the 100-megapixel image once undisturbed, then once more with three SIGKILLs at
random moments, and compares the bytes of the two masks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from measure import report

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing

# Megapixels, and height and width.
SIZES = {10: (2_500, 4_000), 100: (10_000, 10_000), 400: (20_000, 20_000), 1_200: (30_000, 40_000)}
CLASSES = ("water", "field", "wood", "road", "town")
BLOCK = 512
COLUMNS = ("megapixels", "size", "seconds", "MP/s", "peak MB")
KILLS = 3


def write_image(path: Path, size: tuple[int, int]) -> None:
    """A scene of smooth gradients, hard edges and noise: cheap to make, and nowhere constant."""
    height, width = size
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (3, BLOCK, BLOCK), np.uint8)
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 3,
        "dtype": "uint8",
        "photometric": "rgb",
        "crs": "EPSG:32632",
        "transform": Affine(0.5, 0.0, 5e5, 0.0, -0.5, 5.2e6),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "pixel",
        "BIGTIFF": "IF_SAFER",
    }
    rows, columns = np.mgrid[0:BLOCK, 0:BLOCK]
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                deep, wide = min(BLOCK, height - top), min(BLOCK, width - left)
                y, x = (top + rows[:deep, :wide]) // 7, (left + columns[:deep, :wide]) // 5
                waves = np.stack([(x + 2 * y) % 200, (3 * y + (x // 9) * 31) % 200, (x ^ y) % 200])
                pixels = waves.astype(np.uint8) + noise[:, :deep, :wide]
                file.write(pixels, window=((top, top + deep), (left, left + wide)))


def write_model(path: Path) -> None:
    """The light FCN, with weights as they are drawn."""
    torch.manual_seed(0)
    config = network_config({"name": "fcn4s", "backbone": "efficientnet_lite0", "classes": 5})
    network = build(config)
    labels = LabelSpace.of(CLASSES)
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), network.state_dict()))


def command(model: Path, image: Path, out: Path, arguments: argparse.Namespace) -> list[str]:
    """`perpixel predict`, in a process of its own."""
    return [
        *(sys.executable, "-c", "from perpixel.cli.app import main; main()"),
        *("predict", str(model), str(image), "--out", str(out), "--format", "geotiff"),
        *("--memory", arguments.memory, "--tile", arguments.tile),
    ]


def measured(
    model: Path, image: Path, out: Path, arguments: argparse.Namespace
) -> dict[str, float]:
    """Seconds, and the most bytes that the process held, in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command(model, image, out, arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    complaint = process.stderr.read()
    # The kernel's own count of this one child, and not of the largest child so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(complaint.decode())
    return {"seconds": time.perf_counter() - begun, "peak_mb": usage.ru_maxrss * 1024 / 1e6}


def killed(
    model: Path, image: Path, folder: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    """Predict once undisturbed and once with SIGKILLs, and compare."""
    name = f"{image.stem}.tif"
    undisturbed = measured(model, image, folder / "undisturbed", arguments)["seconds"]
    rng = random.Random(arguments.seed)
    moments = []
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(model, image, folder / "killed", arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait = rng.uniform(0.1, 0.6) * undisturbed
        moments.append(round(wait, 1))
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    begun = time.perf_counter()
    subprocess.run(
        command(model, image, folder / "killed", arguments), check=True, stdout=subprocess.DEVNULL
    )
    last = time.perf_counter() - begun
    same = (folder / "undisturbed" / name).read_bytes() == (folder / "killed" / name).read_bytes()
    left = [file.name for file in (folder / "killed").iterdir() if file.name != name]
    return {
        "undisturbed_seconds": undisturbed,
        "killed_after_seconds": moments,
        "last_run_seconds": last,
        "identical": same,
        "left_behind": left,
    }


def sizes(model: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Predict each size, print each row as it comes, and keep them all."""
    rows: list[dict[str, object]] = []
    chosen = sorted(arguments.sizes)
    for megapixels in chosen:
        height, width = SIZES[megapixels]
        image = folder / f"{megapixels}.tif"
        write_image(image, (height, width))
        found = measured(model, image, folder / "masks", arguments)
        seconds = found["seconds"]
        row: dict[str, object] = {
            "megapixels": height * width / 1e6,
            "size": f"{width:,} × {height:,}",
            "seconds": round(seconds, 1),
            "MP/s": height * width / 1e6 / seconds,
            "peak MB": round(found["peak_mb"]),
            "memory": arguments.memory,
            "tile": arguments.tile,
        }
        rows.append(row)
        print(json.dumps(row, ensure_ascii=False), flush=True)
        image.unlink()
        shutil.rmtree(folder / "masks")
        if len(rows) == 1:
            for other in chosen[1:]:
                estimate = seconds * np.prod(SIZES[other]) / (height * width)
                print(f"{other} megapixels will take about {estimate / 60:.0f} minutes", flush=True)
    report("rasters", rows, COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--kill", action="store_true", help="the interrupted run instead")
    parser.add_argument("--kill-size", type=int, choices=list(SIZES), default=100)
    parser.add_argument("--model", type=Path, help="a model file; else the light FCN, untrained")
    parser.add_argument("--memory", default="2G")
    parser.add_argument("--tile", default="auto")
    parser.add_argument("--folder", type=Path, help="where there is room for the images")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rasters-", dir=arguments.folder))
    try:
        model = arguments.model or folder / "model.safetensors"
        if arguments.model is None:
            write_model(model)
        if arguments.kill:
            image = folder / f"{arguments.kill_size}.tif"
            write_image(image, SIZES[arguments.kill_size])
            print(json.dumps(killed(model, image, folder, arguments), indent=1))
            return
        sizes(model, folder, arguments)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
