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
import os
from pathlib import Path

# Read when the parts import what they measure.
os.environ.update(
    PERPIXEL_RUNTIME="torch",
    PERPIXEL_PRECISION="fp32",
    RAY_AUTH_MODE="disabled",
    OMP_NUM_THREADS="1",
)

from cluster_driver import groups, listing, planned
from cluster_kills import kills
from cluster_scene import HEIGHT, IMAGES, WIDTH, damage, write_images, write_model
from cluster_speed import speed, stages

PARTS = {
    "kills": kills,
    "speed": speed,
    "stages": stages,
    "groups": groups,
    "listing": listing,
    "planned": planned,
}


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
