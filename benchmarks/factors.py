"""What each setting is worth: trainings that differ from a baseline in one thing.

    python benchmarks/factors.py --data CAMVID [--minutes 15] [--runs runs/factors] [NAME …]

Each has one core, and as many run at a time as there are cores. The baseline has three seeds, whose
spread says what a difference means; each candidate one, or more with --seeds. Keeps
benchmarks/results/factors.json and writes the table of docs/factors.md. It can be stopped at any
moment: called again, it goes on with the runs and does what is missing. Without --data it only
writes the table. Results of another --minutes are not mixed with those that are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import yaml
from one_run import finished, go
from page_table import markdown, write_table

from perpixel.whole_file import write_whole

KEPT = Path(__file__).with_name("results") / "factors.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "factors.md"
COLUMNS = ("factor", "steps", "mean IoU, each seed", "mean", "difference", "found")
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
    "classes weigh the same": {"class_weights": "none"},
    "stride 8": {"network": "fcn8s"},
    "scale 0.5 … 2": {"augmentation": {"scale": [0.5, 2.0]}},
    "a quarter around rare classes": {"balance": 0.25},
    "hardest half of the pixels": {"hard_pixels": 0.5},
    "Dice 0.5": {"dice": 0.5},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "the encoder at half the rate": {"backbone_rate": 0.5},
}


def settings(change: Settings) -> Settings:
    """The baseline with a change."""
    augmentation = {**BASELINE["augmentation"], **change.get("augmentation", {})}
    return {**BASELINE, **change, "augmentation": augmentation}


def folder_of(runs: Path, name: str, minutes: float, seed: int) -> Path:
    """A run's folder, in letters that every system takes."""
    plain = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name).split())
    return runs / f"{plain}-{minutes:g}-minutes-seed{seed}"


def one(
    runs: Path,
    name: str,
    data: Path,
    minutes: float,
    seed: int,
    cores: SimpleQueue[int],
) -> Settings:
    """A finished run, trained on a core that is free where it is not there yet."""
    folder = folder_of(runs, name, minutes, seed)
    if finished(folder) is None:
        runs.mkdir(parents=True, exist_ok=True)
        recipe = folder.with_name(f"{folder.name}.yaml")
        change = FACTORS.get(name, {})
        write_whole(recipe, yaml.safe_dump(settings(change), sort_keys=False).encode())
        places = [str(data), "--config", str(recipe), "--out", str(folder)]
        core = cores.get()
        try:
            go([*places, "--minutes", f"{minutes:g}", "--seed", str(seed)], core)
        finally:
            cores.put(core)
    found = finished(folder, threads=1)
    if found is None:
        raise RuntimeError(f"{folder} is not finished: call this again")
    return found


def table(kept: Settings) -> str:
    """Each factor's mean IoU, and whether it is further from the baseline than its seeds are from
    each other, in Markdown."""
    base = _scores(kept, "baseline")
    middle = statistics.mean(base) if base else None
    spread = max(base) - min(base) if len(base) > 1 else None
    rows = []
    for name in ("baseline", *FACTORS):
        scores = _scores(kept, name)
        if not scores:
            rows.append([name, *["–"] * 4, "not measured yet"])
            continue
        score = statistics.mean(scores)
        apart = None if middle is None or name == "baseline" else score - middle
        rows.append(
            [
                name,
                ", ".join(str(run["steps"]) for run in _runs(kept, name)),
                ", ".join(f"{score:.4f}" for score in scores),
                f"{score:.4f}",
                "–" if apart is None else f"{apart:+.4f}",
                _verdict(apart, spread),
            ]
        )
    return markdown(COLUMNS, rows)


def _scores(kept: Settings, name: str) -> list[float]:
    return [run["validation"]["mean_iou"] for run in _runs(kept, name)]


def _runs(kept: Settings, name: str) -> list[Settings]:
    return [run for _, run in sorted(kept.get(name, {}).items())]


def _verdict(apart: float | None, spread: float | None) -> str:
    if apart is None or spread is None:
        return "–"
    return "none" if abs(apart) <= spread else "better" if apart > 0 else "worse"


def train(
    kept: Settings, missing: list[tuple[str, int]], runs: Path, data: Path, minutes: float
) -> None:
    """Train and keep what is missing, one training a core: on one core each they take less time in
    all than one after the other on all of them."""
    cores: SimpleQueue[int] = SimpleQueue()
    for core in os.sched_getaffinity(0):
        cores.put(core)
    with ThreadPoolExecutor(cores.qsize()) as pool:
        going = {
            pool.submit(one, runs, name, data, minutes, seed, cores): (name, seed)
            for name, seed in missing
        }
        try:
            for done in as_completed(going):
                (name, seed), found = going[done], done.result()
                kept["runs"].setdefault(name, {})[str(seed)] = found
                KEPT.parent.mkdir(exist_ok=True)
                write_whole(KEPT, (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode())
                print(f"{name}, seed {seed}: {found['validation']['mean_iou']:.4f}", flush=True)
        finally:  # after an error or Ctrl-C, those that have not begun do not begin
            pool.shutdown(cancel_futures=True)


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
    wanted = [("baseline", seed) for seed in SEEDS]
    wanted += [(name, seed) for name in options.names or FACTORS for seed in options.seeds]
    missing = [(name, seed) for name, seed in wanted if str(seed) not in kept["runs"].get(name, {})]
    if options.data is not None:
        train(kept, missing, options.runs, options.data, options.minutes)
    write_table(PAGE, "benchmarks/factors.py", table(kept["runs"]))
    print(table(kept["runs"]))


if __name__ == "__main__":
    main()
