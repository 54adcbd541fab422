"""How many images `perpixel check` reads in a second.

Writes a data set of photographs and masks of 500×500 pixels into a temporary folder, checks it with
as many threads as the machine has processors, and prints images/s:

    python benchmarks/check.py --images 500
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from perpixel.data.check.folder import check_folder

SIDE, CLASSES = 500, 20


def write(root: Path, images: int) -> None:
    """JPEG photographs, each another one, and PNG masks; a fifth of them for validation."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (SIDE, SIDE, 3)).astype(np.float32)
    for number in range(images):
        folder = root / ("val" if number % 5 == 0 else "train")
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (40, 40, 3)).astype(np.float32)
        picture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) + grain
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(60):
            corners = rng.integers(0, SIDE, (5, 2)).astype(np.int32)
            cv2.fillPoly(mask, [corners], int(rng.integers(CLASSES)))
        photograph = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        photograph.save(folder / "images" / f"{number:05d}.jpg", quality=90)
        Image.fromarray(mask).save(folder / "masks" / f"{number:05d}.png")
    names = ", ".join(f"class {number}" for number in range(CLASSES))
    (root / "classes.yaml").write_text(f"classes: [{names}]\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), images)
        begun, worked = time.perf_counter(), time.process_time()
        report = check_folder(Path(folder))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    read = sum(split.images for split in report.splits.values())
    print(
        f"{read} images of {SIDE}×{SIDE} in {seconds:.1f} s on {os.cpu_count()} processors, "
        f"{len(report.findings)} findings: "
        f"{read / seconds:.0f} images/s; 10,000 take {10_000 * seconds / read / 60:.1f} minutes "
        f"({1000 * cpu / read:.1f} ms of processor time each)"
    )


if __name__ == "__main__":
    main()
