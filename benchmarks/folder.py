"""A folder of 101 photographs: `python benchmarks/folder.py [--data ../shared]`.

From CamVid's validation images to PNG masks, everything in between: `perpixel predict`'s own
function, a plain script with the same network and weights (PIL, eager fp32, `F.interpolate`,
argmax, PNG), and the same script with segmentation-models-pytorch's FPN on the same backbone. In
turn, medians of whole runs; and the milliseconds of perpixel's stages, one by one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measure import report
from PIL import Image

from perpixel import kernels
from perpixel.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from perpixel.data.decode import read_image
from perpixel.data.layouts import open_dataset
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import Model, load
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing

BACKBONE = "efficientnet_lite0"
COLUMNS = ("way", "images/s", "times the plain script", "computed by")
STAGES = ("stage", "ms")
Logits = Callable[[torch.Tensor], torch.Tensor]


def write_model(data: Path, path: Path) -> None:
    """A light FCN with random weights and CamVid's classes."""
    torch.manual_seed(0)
    labels = open_dataset(data).labels
    config = FCNConfig(name="fcn4s", backbone=BACKBONE, classes=labels.classes)
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    weights = build(config).state_dict()
    write_checkpoint(path, Checkpoint(config, labels, preprocessing, weights))


def same_network(path: Path) -> Logits:
    """The model's network, layer by layer, and full-size logits."""
    network = read_checkpoint(path).restore()

    def logits(batch: torch.Tensor) -> torch.Tensor:
        return F.interpolate(network(batch).scores, batch.shape[2:], mode="bilinear")

    return logits


def fpn(classes: int) -> Logits:
    """segmentation-models-pytorch's; it takes sides that are multiples of 32."""
    import segmentation_models_pytorch as smp

    network = smp.FPN(f"tu-tf_{BACKBONE}", encoder_weights=None, classes=classes).eval()

    def logits(batch: torch.Tensor) -> torch.Tensor:
        height, width = batch.shape[2:]
        padded = F.pad(batch, (0, -width % 32, 0, -height % 32))
        return network(padded)[..., :height, :width]

    return logits


def plain(logits: Logits, model: Model, files: list[Path], out: Path) -> None:
    """The script that one would write."""
    mean = torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(model.preprocessing.std).view(1, 3, 1, 1)
    palette = model.labels.colour_table().tobytes()
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB"))
        batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            mask = logits((batch - mean) / std).argmax(1)[0].to(torch.uint8).numpy()
        picture = Image.fromarray(mask)
        picture.putpalette(palette)
        picture.save(out / f"{file.stem}.png")


def stages(model: Model, files: list[Path], out: Path) -> list[dict[str, object]]:
    """The median of each stage, when nothing else runs."""
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments)
        times.setdefault(stage, []).append((time.perf_counter() - start) * 1e3)
        return result

    for file in files:
        image = timed("decode", read_image, file)
        with torch.inference_mode():
            pixels = np.stack([image.transpose(1, 2, 0)])
            normalised = timed("normalise", model.preprocessing.of_bytes, pixels)
            batch = torch.from_numpy(normalised).permute(0, 3, 1, 2)
            scores = timed("network", model.runtime.scores, batch)
            timed("mask", kernels.argmax, scores)
        segmentation = model.class_mask(image, [scores])
        timed("PNG", segmentation.png)
        timed("PNG, written and flushed", segmentation.save, out / f"{file.stem}.png")
    return [{"stage": name, "ms": statistics.median(each)} for name, each in times.items()]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--model", type=Path, help="a trained light FCN; else random weights")
    parser.add_argument("--images", type=int, default=101)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-smp", action="store_true", help="leave the FPN out")
    options = parser.parse_args()
    data = Path(os.environ.get("PERPIXEL_DATA", options.data)) / "camvid"
    if not (data / "classes.yaml").is_file():
        print(f"folder: skipped, no CamVid data set in {data}: set PERPIXEL_DATA to its parent")
        return
    os.environ.pop("PERPIXEL_RUNTIME", None)
    os.environ.pop("PERPIXEL_PRECISION", None)
    files = [pair.image for pair in open_dataset(data).split("val")][: options.images]
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        os.environ["PERPIXEL_CACHE"] = str(temporary / "cache")
        path = options.model or temporary / "model.safetensors"
        if options.model is None:
            write_model(data, path)
        models = {"perpixel, auto": load(path, "cpu")}
        models["perpixel, torch fp32"] = load(path, "cpu", "torch", "fp32")
        model = models["perpixel, auto"]
        scripts = {"plain script": same_network(path)}
        if not options.no_smp:
            scripts["plain script, smp's FPN"] = fpn(model.labels.classes)
        out = temporary / "out"
        out.mkdir()
        ways: dict[str, Callable[[list[Path]], object]] = {
            way: lambda some, logits=logits: plain(logits, model, some, out)
            for way, logits in scripts.items()
        }
        ways |= {
            way: lambda some, each=each: predict_folder(each, some, out)
            for way, each in models.items()
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for way in ways.values():
            way(files[:3])
        for _ in range(options.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way(files)
                seconds[name].append(time.perf_counter() - start)
        speed = {way: len(files) / statistics.median(each) for way, each in seconds.items()}
        rows: list[dict[str, object]] = [
            {
                "way": way,
                "images/s": each,
                "times the plain script": each / speed["plain script"],
                "computed by": str(models[way].choice) if way in models else "torch eager fp32",
                "seconds": seconds[way],
            }
            for way, each in speed.items()
        ]
        report("folder-cpu", rows, COLUMNS)
        report("folder-stages-cpu", stages(model, files, out), STAGES)


if __name__ == "__main__":
    main()
