"""Every network beside the others: its arithmetic, its time, and what it learns in 20 minutes.

    python benchmarks/networks.py --runs RUNS [--data CAMVID --vgg16 WEIGHTS] [--rounds 5]

Writes docs/networks.md anew after every part, from benchmarks/results/networks.json. It can be
stopped at any moment: called again, it does what is missing. A training that was interrupted is
resumed, one that is finished in RUNS is only read. Without --data nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import torch
from measure import RESULTS, in_rounds, machine
from networks_page import page
from trainings import TRAININGS, finished, train

from perpixel.networks import NetworkName, build, network_config
from perpixel.networks.inspection import inspect
from perpixel.whole_file import write_whole

KEPT = RESULTS / "networks.json"
PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
CLASSES, SIZE = 21, (512, 512)
LIGHT = {"backbone": "efficientnet_lite0", "head_channels": 96, "separable": True}
# Every architecture as it is by default, and other forms of it that the page speaks of.
NETWORKS: dict[str, dict[str, object]] = {
    **{name: {"name": name} for name in get_args(NetworkName)},
    **{
        f"{name} on vgg16": {"name": name, "backbone": "vgg16"}
        for name in ("fcn32s", "fcn16s", "fcn8s")
    },
    **{
        f"{name}, fc6 1×1": {"name": name, "fc6": "1x1"}
        for name in ("fcn32s-vgg16", "fcn16s-vgg16", "fcn8s-vgg16")
    },
    "fcn-decoder on vgg13": {"name": "fcn-decoder", "backbone": "vgg13"},
    "deeplabv3, light": {"name": "deeplabv3", **LIGHT},
    "deeplabv3plus, light": {"name": "deeplabv3plus", **LIGHT},
}

Results = dict[str, Any]


def save(results: Results) -> None:
    """The results so far, and the page that they make."""
    RESULTS.mkdir(exist_ok=True)
    write_whole(KEPT, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(PAGE, page(results).encode())


def arithmetic(options: dict[str, object]) -> Results:
    """What follows from the graph alone."""
    with torch.device("meta"):
        network = build(network_config({"classes": CLASSES, **options}))
    seen = inspect(network, SIZE).as_json()
    del seen["layers"]
    return seen


def measure_times(results: Results, rounds: int) -> None:
    """Add rounds of times until there are enough; those of another machine do not count."""
    if results["times"].get("machine") != machine():
        results["times"] = {"machine": machine(), "rounds": []}
    kept = results["times"]["rounds"]
    kept[:] = [each for each in kept if each.keys() == NETWORKS.keys()]
    if len(kept) >= rounds:
        return
    torch.manual_seed(0)
    image = torch.randn(1, 3, *SIZE)
    calls = {}
    for name, options in NETWORKS.items():
        network = build(network_config({"classes": CLASSES, **options})).eval()
        calls[name] = lambda network=network: network(image)
    with torch.no_grad():
        for times in islice(in_rounds(calls), rounds - len(kept)):
            kept.append(times)
            save(results)
            print(f"times: round {len(kept)} of {rounds}", flush=True)


def main() -> None:
    """Do what is missing, part by part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/networks"), help="run folders")
    parser.add_argument(
        "--data", type=Path, help="the CamVid folder; without it nothing is trained"
    )
    parser.add_argument("--vgg16", type=Path, help="a file of VGG16's weights, to train on it")
    parser.add_argument("--rounds", type=int, default=5, help="of times; 0 measures none")
    options = parser.parse_args()
    results: Results = {"classes": CLASSES, "size": SIZE, "networks": {}, "times": {}, "runs": {}}
    if KEPT.is_file():
        results |= json.loads(KEPT.read_text(encoding="utf-8"))
    for name, values in NETWORKS.items():
        results["networks"][name] = {"options": values, **arithmetic(values)}
    save(results)
    print(f"arithmetic of {len(NETWORKS)} networks", flush=True)
    if options.rounds:
        measure_times(results, options.rounds)
    for name in TRAININGS:
        found = finished(options.runs, name)
        if found is None and name not in results["runs"] and options.data is not None:
            train(
                options.runs, name, options.data, options.vgg16, core=max(os.sched_getaffinity(0))
            )
            found = finished(options.runs, name)
        if found is not None:
            results["runs"][name] = found
            save(results)
        done = results["runs"].get(name)
        print(f"{name}: {done['validation']['mean_iou']:.4f}" if done else f"{name}: not finished")


if __name__ == "__main__":
    main()
