"""Every runtime against the usual way: `python benchmarks/runtimes.py [NETWORK …]`.

End to end, from a uint8 image to its uint8 mask, batch 1, 21 classes, random weights. The usual way
is torch eager in fp32, `F.interpolate` to full-size logits, and argmax. All ways of a network are
timed in turn, in one process; the figures are medians, as ratios of the usual way's time to each.
int8 is calibrated on a few drawn images: for the time that is enough.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from measure import interleaved, report

from perpixel.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from perpixel.inference.predictor import Model, load
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.conversion import to_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.speed import drawn_image
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.networks.folding import folded
from perpixel.preprocessing import Preprocessing

CLASSES, CALIBRATED_ON = 21, 4
# What perpixel computes with, and the package that it takes.
WAYS = {
    "torch fp32": "torch",
    "torch bf16": "torch",
    "onnxruntime fp32": "onnxruntime",
    "openvino fp32": "openvino",
    "openvino bf16": "openvino",
    "openvino int8": "nncf",
    "auto": "torch",
}
COLUMNS = ("network", "eager ms", *WAYS, "auto is", "wanted")


class Case(NamedTuple):
    """A network, the image's size, and how many times as fast as the usual way it should be."""

    options: dict[str, object]
    size: tuple[int, int]
    wanted: dict[str, float]


CASES = {
    "fcn8s-vgg16": Case({"name": "fcn8s-vgg16"}, (500, 500), {"auto": 8, "openvino int8": 15}),
    "fcn_resnet50": Case({"name": "fcn_resnet50"}, (512, 512), {"auto": 8, "openvino int8": 15}),
    "deeplabv3_resnet50": Case(
        {"name": "deeplabv3_resnet50"}, (512, 512), {"openvino bf16": 4, "openvino int8": 9}
    ),
    "unet-resnet34": Case(
        {"name": "unet-padded", "backbone": "resnet34"},
        (512, 512),
        {"auto": 7, "openvino int8": 14},
    ),
    "light": Case({"name": "fcn4s", "backbone": "efficientnet_lite0"}, (512, 512), {"auto": 6}),
}


def write_model(case: Case, path: Path) -> None:
    """A model file with random weights."""
    torch.manual_seed(0)
    config = network_config({**case.options, "classes": CLASSES})
    labels = LabelSpace.of([f"class {index}" for index in range(CLASSES)])
    weights = build(config).state_dict()
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), weights))


def eager(path: Path, image: np.ndarray) -> Callable[[], np.ndarray]:
    """The usual way; `image` is (H, W, bands)."""
    network = read_checkpoint(path).restore()
    mean = torch.tensor(Preprocessing().mean).view(1, 3, 1, 1)
    std = torch.tensor(Preprocessing().std).view(1, 3, 1, 1)

    @torch.inference_mode()
    def mask() -> np.ndarray:
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        scores = network((pixels - mean) / std).scores
        logits = F.interpolate(scores, image.shape[:2], mode="bilinear", align_corners=False)
        return logits.argmax(1)[0].to(torch.uint8).numpy()

    return mask


def own(model: Model, image: np.ndarray) -> Callable[[], np.ndarray]:
    """perpixel's way; `image` is (H, W, bands)."""
    bands = image.transpose(2, 0, 1)
    return lambda: model.class_mask(bands, model.views([bands], names=["image"])).mask


def int8(path: Path, size: tuple[int, int]) -> Model:
    """The model, quantised."""
    nncf = packages.nncf()
    checkpoint = read_checkpoint(path)
    network = checkpoint.restore()
    with torch.no_grad():
        graph = to_openvino(CoarseGraph(folded(network), checkpoint.preprocessing.bands))
    drawn = [np.roll(drawn_image(size, 3), 50 * index, axis=2) for index in range(CALIBRATED_ON)]
    images = [checkpoint.preprocessing(torch.from_numpy(one[None])).numpy() for one in drawn]
    quantised = nncf.quantize(
        graph,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=CALIBRATED_ON,
    )
    runtime = OpenVinoRuntime(quantised, network.placement, "int8")
    labels, preprocessing = checkpoint.labels, checkpoint.preprocessing
    return Model(None, labels, preprocessing, torch.device("cpu"), runtime)


def made(way: str, path: Path, size: tuple[int, int]) -> Model:
    """The model, computed this way."""
    if way == "auto":
        return load(path, "cpu")
    if way == "openvino int8":
        return int8(path, size)
    runtime, precision = way.split()
    return load(path, "cpu", runtime, precision)


def row(name: str, ways: list[str], rounds: int) -> dict[str, object]:
    """One line of the table."""
    case = CASES[name]
    image = np.ascontiguousarray(drawn_image(case.size, 3).transpose(1, 2, 0))
    with tempfile.TemporaryDirectory() as folder:
        # `auto` measures, and conversions are made, as on the first day.
        os.environ["PERPIXEL_CACHE"] = str(Path(folder) / "cache")
        path = Path(folder) / "model.safetensors"
        write_model(case, path)
        models = {way: made(way, path, case.size) for way in ways}
        functions = {"eager": eager(path, image)}
        functions |= {way: own(model, image) for way, model in models.items()}
        usual = functions["eager"]()
        equal = {way: float((mask() == usual).mean()) for way, mask in functions.items()}
        times = interleaved(functions, rounds)
        choice = str(models["auto"].choice) if "auto" in models else None
    ratios: dict[str, object] = {way: times["eager"] / times[way] for way in ways}
    return {
        "network": f"{name} {case.size[0]}×{case.size[1]}",
        "eager ms": times["eager"] * 1e3,
        **ratios,
        "auto is": choice.split(" (")[0] if choice else None,
        "wanted": ", ".join(f"{way} {ratio:g}" for way, ratio in case.wanted.items()),
        "ms": {way: time * 1e3 for way, time in times.items()},
        "equal pixels": equal,
        "choice": choice,
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="all that are installed without")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    os.environ.pop("PERPIXEL_RUNTIME", None)
    os.environ.pop("PERPIXEL_PRECISION", None)
    ways = options.ways or [way for way, package in WAYS.items() if find_spec(package)]
    rows = []
    for name in options.networks or CASES:
        rows.append(row(name, ways, options.rounds))
        gc.collect()
    report("runtimes-cpu", rows, COLUMNS)


if __name__ == "__main__":
    main()
