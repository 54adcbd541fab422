"""How much faster a convolutionalized classifier is than the classifier on every window.

    python benchmarks/patches.py [--network alexnet] [--size 500x500] [--repeats 3]

The paper (section 3.1) compares AlexNet on the 10×10 windows of a 500×500 image, and finds the
dense network more than 5 times as fast. Both run here in one process, in turns, on the same image
and the same windows; the printed figure is the ratio of the medians. Weights are random: they do
not change the time.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torchvision

from perpixel.networks.convolutionalize import convolutionalize
from perpixel.networks.patches import patchwise

RESULTS = Path(__file__).parent / "results" / "patches.json"


def seconds(run: object, *arguments: object) -> float:
    start = time.perf_counter()
    run(*arguments)  # type: ignore[operator]
    return time.perf_counter() - start


@torch.no_grad()
def measure(network: str, height: int, width: int, repeats: int) -> dict[str, object]:
    """Seconds for one image, both ways."""
    torch.manual_seed(0)
    classifier = getattr(torchvision.models, network)(weights=None).eval()
    dense = convolutionalize(classifier)
    image = torch.randn(1, 3, height, width)
    rows, columns = dense(image).scores.shape[2:]
    both = [
        (
            seconds(dense, image),
            seconds(lambda: patchwise(classifier, image, dense.stride, size=dense.window)),
        )
        for _ in range(repeats)
    ]
    dense_median, patches_median = (statistics.median(times) for times in zip(*both, strict=True))
    return {
        "network": network,
        "size": [height, width],
        "window": list(dense.window),
        "stride": dense.stride,
        "windows": rows * columns,
        "dense_seconds": round(dense_median, 4),
        "patches_seconds": round(patches_median, 4),
        "patches_over_dense": round(patches_median / dense_median, 2),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", default=["alexnet", "resnet18", "mobilenet_v2"])
    parser.add_argument("--size", default="500x500")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    results = []
    for network in options.network:
        results.append(measure(network, height, width, options.repeats))
        print(
            "{network}: {windows} windows, patches {patches_seconds} s, dense {dense_seconds} s, "
            "patches over dense {patches_over_dense}".format(**results[-1]),
            flush=True,
        )
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
