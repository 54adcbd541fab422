"""Does each finer stride score higher, whatever the seed? Runs the demo with several seeds.

    python benchmarks/demo_seeds.py [--seeds 5] [--out benchmarks/results/demo_seeds.json]

Exit status 1 unless the mean IoU rises from 32s to 16s to 8s to 4s in at least four of five seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from perpixel.delivery.demo import run_demo
from perpixel.training import Silence

SHARE = 0.8


def one_seed(seed: int) -> dict[str, Any]:
    """The demo's validation mean IoU for each network, and the seconds it took."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = run_demo(Path(folder) / "demo", seed, lambda _: nullcontext(Silence()))
    scores = {stage: round(of.mean_iou, 4) for stage, of in result.scores.items()}
    rises = all(coarser < finer for coarser, finer in pairwise(scores.values()))
    seconds = round(time.perf_counter() - begun, 1)
    return {"seed": seed, "mean_iou": scores, "rises": rises, "seconds": seconds}


def main() -> None:
    """Run, print a line for each seed, keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    default = Path(__file__).parent / "results" / "demo_seeds.json"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()
    runs = []
    for seed in range(options.seeds):
        runs.append(one_seed(seed))
        print(json.dumps(runs[-1]), flush=True)
    rising = sum(run["rises"] for run in runs)
    report = {
        "rising": rising,
        "of": len(runs),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "runs": runs,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"the score rises with each finer stride in {rising} of {len(runs)} seeds")
    raise SystemExit(rising < SHARE * len(runs))


if __name__ == "__main__":
    main()
