"""The recipes' record: runs the command of each with several seeds, and writes their table.

    python benchmarks/recipes.py --data CAMVID [--vgg16 WEIGHTS] [--seeds 0 1] [--minutes 1]
        [--runs runs/recipes] [NAME …]

Without names: all of them but `gpu`. The command is the one in the recipe's first lines. What is
finished is kept in benchmarks/results/recipes.json, and makes the table of recipes/README.md, which
is written anew after every run; without --data only that is done. It can be stopped at any moment:
called again, it goes on with the run and does what is missing. --minutes gives every recipe another
budget, for a trial: such runs are not kept.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

from one_run import finished, go
from page_table import write_table

from perpixel.whole_file import write_whole

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
KEPT = Path(__file__).with_name("results") / "recipes.json"
# In the order in which one begins from another.
NAMES = (
    *("cpu-5-minutes", "cpu-45-minutes", "cpu-100-minutes"),
    *("vgg16-fcn32s", "vgg16-fcn16s", "vgg16-fcn8s"),
    *("deeplabv3plus", "unet", "street", "street-dice", "gpu"),
)
COLUMNS = (
    *("recipe", "network", "parameters", "minutes", "mean IoU, each seed", "mean", "machine"),
)
# What a recipe of each seed was trained to: by name and seed.
Kept = dict[str, dict[str, dict[str, Any]]]


def command(name: str) -> list[str]:
    """The words of the command in a recipe's first lines."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    comment = "\n".join(
        line.removeprefix("#") for line in text.splitlines() if line.startswith("#")
    )
    found = re.findall(r"^   perpixel .*$", comment.replace("\\\n", " "), re.MULTILINE)
    if len(found) != 1:
        raise ValueError(f"{name}.yaml has {len(found)} commands in its first lines, not one")
    return shlex.split(found[0])


def arguments(name: str, seed: int, data: Path, vgg16: Path | None, runs: Path) -> list[str]:
    """The command's own arguments, with the places and the seed of one run."""

    def placed(word: str) -> str:
        match = re.fullmatch(r"runs/([^/]+)(/.*)?", word)
        if match:
            return f"{runs / f'{match[1]}-seed{seed}'}{match[2] or ''}"
        if word == "VGG16" and vgg16 is None:
            raise ValueError(f"{name} begins from VGG16's weights: give their file with --vgg16")
        known = {"DATA": str(data), "VGG16": str(vgg16)}
        at_root = word.startswith("recipes/")
        return str(FOLDER.parent / word) if at_root else known.get(word, word)

    _, _, *words = command(name)
    return [*map(placed, words), "--seed", str(seed)]


def table(kept: Kept) -> str:
    """The recipes, what they are and what they reached, as a table in Markdown."""
    rows = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---:|---:|---:|---:|---|"]
    for name in NAMES:
        runs = [run for _, run in sorted(kept.get(name, {}).items(), key=lambda one: int(one[0]))]
        if not runs:
            rows.append(f"| [{name}]({name}.yaml) | | | | not measured yet | | |")
            continue
        network, scores = runs[0]["network"], [run["validation"]["mean_iou"] for run in runs]
        backbone = f" on {network['backbone']}" if "backbone" in network else ""
        minutes = statistics.mean(run["seconds"] for run in runs) / 60
        machines = dict.fromkeys("; ".join(run["machine"].split("; ")[:2]) for run in runs)
        cells = (
            f"[{name}]({name}.yaml)",
            f"{network['name']}{backbone}",
            f"{runs[0]['parameters'] / 1e6:.1f} M",
            f"{minutes:.0f}",
            ", ".join(f"{score:.3f}" for score in scores),
            f"{statistics.mean(scores):.3f}",
            " / ".join(machines),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def save(kept: Kept) -> None:
    """The results so far, and the page with them."""
    KEPT.parent.mkdir(exist_ok=True)
    write_whole(KEPT, (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode())
    write_table(FOLDER / "README.md", "benchmarks/recipes.py", table(kept))


def main() -> None:
    """Do what is missing, run by run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--data", type=Path, help="the CamVid folder")
    parser.add_argument("--vgg16", type=Path, help="a file of VGG16's weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--minutes", type=float, help="another budget for all, for a trial")
    parser.add_argument("--runs", type=Path, default=Path("runs/recipes"), help="run folders")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no recipe is called {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    kept: Kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    names = options.names or [name for name in NAMES if name != "gpu"]
    trial = [] if options.minutes is None else ["--minutes", str(options.minutes)]
    # Beside the others, which would else be taken for finished.
    runs = options.runs / f"trial-{options.minutes:g}-minutes" if trial else options.runs
    for seed in options.seeds:
        for name in names:
            folder = runs / f"{name}-seed{seed}"
            if options.data is None or (not trial and str(seed) in kept.get(name, {})):
                continue
            words = arguments(name, seed, options.data, options.vgg16, runs)
            if finished(folder) is None:
                go([*words, *trial])
            found = finished(folder)
            if found is None:
                raise RuntimeError(f"{folder} is not finished: call this again")
            print(f"{name}, seed {seed}: {found['validation']['mean_iou']:.4f}", flush=True)
            if not trial:
                kept.setdefault(name, {})[str(seed)] = {
                    "command": shlex.join([*command(name), "--seed", str(seed)]),
                    **found,
                }
                save(kept)
    if not trial:
        save(kept)


if __name__ == "__main__":
    main()
