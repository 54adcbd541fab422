"""What each setting is worth: trainings that differ from a baseline in one thing.

    python benchmarks/factors.py --data CAMVID [--minutes 15] [--runs runs/factors] [NAME …]

The baseline has three seeds, whose spread says what a difference means; each candidate one, or more
with --seeds. Keeps benchmarks/results/factors.json and prints the table. It can be stopped at any
moment: called again, it goes on with the run and does what is missing. Without --data it only
prints. Results of another --minutes are not mixed with those that are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import yaml
from one_run import finished, go
from rich.console import Console
from rich.table import Table

from perpixel.whole_file import write_whole

KEPT = Path(__file__).with_name("results") / "factors.json"
SEEDS = (0, 1, 2)
CROP = [352, 480]
Settings = dict[str, Any]
BASELINE: Settings = {
    "network": "fcn4s",
    "backbone": "efficientnet_lite0",
    "head": "features",
    "head_channels": 96,
    "batch_size": 8,
    "class_weights": "inverse-log",
    "balance": 0.0,
    "augmentation": {"crop": CROP, "scale": [0.75, 2.0]},
}
# What each changes; settings within `augmentation` are taken over one by one.
FACTORS: dict[str, Settings] = {
    "head: sums of scores": {"head": "scores", "head_channels": None},
    "head: 64 channels": {"head_channels": 64},
    "head: 128 channels": {"head_channels": 128},
    "head: global context": {"global_context": True},
    "stride 8": {"network": "fcn8s"},
    "stride 16": {"network": "fcn16s"},
    "scale 0.5 … 2": {"augmentation": {"scale": [0.5, 2.0]}},
    "scale 0.75 … 1.5": {"augmentation": {"scale": [0.75, 1.5]}},
    "scale 1 … 1": {"augmentation": {"scale": [1.0, 1.0]}},
    "crop 256×320, batch 16": {"augmentation": {"crop": [256, 320]}, "batch_size": 16},
    "crop 256×320": {"augmentation": {"crop": [256, 320]}},
    "colours half as varied": {
        "augmentation": {"brightness": 0.125, "contrast": 0.125, "saturation": 0.125, "hue": 0.01}
    },
    "rotation to 5°": {"augmentation": {"rotation": 5.0}},
    "a quarter around rare classes": {"balance": 0.25},
    "half around rare classes": {"balance": 0.5},
    "classes weigh the same": {"class_weights": "none"},
    "weights by effective number": {"class_weights": "effective-number"},
    "hardest half of the pixels": {"hard_pixels": 0.5},
    "hardest quarter of the pixels": {"hard_pixels": 0.25},
    "Dice 0.5": {"dice": 0.5},
    "Dice 1": {"dice": 1.0},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "no averaging": {"ema": 0.0},
    "averaging 0.99": {"ema": 0.99},
    "averaging 0.9995": {"ema": 0.9995},
    "learning rate 5e-4": {"learning_rate": 5e-4},
    "learning rate 2e-3": {"learning_rate": 2e-3},
    "the encoder at half the rate": {"backbone_rate": 0.5},
    "the encoder at a quarter of the rate": {"backbone_rate": 0.25},
    "batch 4": {"batch_size": 4},
    "batch 16": {"batch_size": 16},
    "weight decay 0.05": {"weight_decay": 0.05},
    "poly schedule": {"schedule": "poly"},
    "warm-up 0.3": {"warmup": 0.3},
    "SGD": {"optimizer": "sgd"},
}


def settings(change: Settings) -> Settings:
    """The baseline with a change."""
    augmentation = {**BASELINE["augmentation"], **change.get("augmentation", {})}
    return {**BASELINE, **change, "augmentation": augmentation}


def folder_of(runs: Path, name: str, minutes: float, seed: int) -> Path:
    """A run's folder, in letters that every system takes."""
    plain = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name).split())
    return runs / f"{plain}-{minutes:g}-minutes-seed{seed}"


def one(runs: Path, name: str, change: Settings, data: Path, minutes: float, seed: int) -> Settings:
    """A finished run, trained where it is not there yet."""
    folder = folder_of(runs, name, minutes, seed)
    if finished(folder) is None:
        runs.mkdir(parents=True, exist_ok=True)
        recipe = folder.with_name(f"{folder.name}.yaml")
        write_whole(recipe, yaml.safe_dump(settings(change), sort_keys=False).encode())
        places = [str(data), "--config", str(recipe), "--out", str(folder)]
        go([*places, "--minutes", f"{minutes:g}", "--seed", str(seed)])
    found = finished(folder)
    if found is None:
        raise RuntimeError(f"{folder} is not finished: call this again")
    return found


def shown(kept: Settings) -> Table:
    """Each factor's mean IoU, and its difference from the baseline's mean and in its spread."""
    table = Table("factor", title="mean IoU on the validation split", title_justify="left")
    for column in ("seeds", "mean IoU", "difference", "in deviations of the baseline"):
        table.add_column(column, justify="right")
    base = [run["validation"]["mean_iou"] for run in kept.get("baseline", {}).values()]
    middle = statistics.mean(base) if base else None
    spread = statistics.stdev(base) if len(base) > 1 else None
    for name in ("baseline", *FACTORS):
        scores = [run["validation"]["mean_iou"] for run in kept.get(name, {}).values()]
        if not scores:
            continue
        score = statistics.mean(scores)
        apart = None if middle is None else score - middle
        units = apart / spread if apart is not None and spread else None
        table.add_row(
            name,
            str(len(scores)),
            f"{score:.4f}",
            "–" if apart is None else f"{apart:+.4f}",
            "–" if units is None else f"{units:+.1f}",
        )
    return table


def main() -> None:
    """Do what is missing, run by run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="factors; all without one")
    parser.add_argument("--data", type=Path, help="the CamVid folder")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the candidates")
    parser.add_argument("--runs", type=Path, default=Path("runs/factors"), help="run folders")
    options = parser.parse_args()
    unknown = set(options.names) - FACTORS.keys()
    if unknown:
        parser.error(f"no factor is called {', '.join(sorted(unknown))}: {', '.join(FACTORS)}")
    kept: Settings = {"minutes": options.minutes, "runs": {}}
    if KEPT.is_file():
        before = json.loads(KEPT.read_text(encoding="utf-8"))
        if options.data is not None and before["minutes"] != options.minutes:
            parser.error(f"{KEPT} has runs of {before['minutes']:g} minutes: move it away first")
        kept = before
    wanted = [("baseline", {}, seed) for seed in SEEDS]
    names = options.names or FACTORS
    wanted += [(name, FACTORS[name], seed) for name in names for seed in options.seeds]
    for name, change, seed in wanted if options.data is not None else ():
        if str(seed) in kept["runs"].get(name, {}):
            continue
        found = one(options.runs, name, change, options.data, options.minutes, seed)
        kept["runs"].setdefault(name, {})[str(seed)] = found
        KEPT.parent.mkdir(exist_ok=True)
        write_whole(KEPT, (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode())
        print(f"{name}, seed {seed}: {found['validation']['mean_iou']:.4f}", flush=True)
    Console(width=120).print(shown(kept["runs"]))


if __name__ == "__main__":
    main()
