"""The images and the model of the cluster benchmark, and what one process makes of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import load
from perpixel.inference.results import Results
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing

IMAGES, HEIGHT, WIDTH, SEED = 2000, 96, 128, 0
NAMES = tuple(f"class {number}" for number in range(11))


def write_model(path: Path) -> None:
    """A light FCN with random weights."""
    torch.manual_seed(SEED)
    config = FCNConfig(name="fcn4s", backbone="efficientnet_lite0", classes=len(NAMES))
    network = build(config)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad and weight.ndim == 4:
                weight += 0.02 * torch.randn(weight.shape)
    labels = LabelSpace.of(NAMES)
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    write_checkpoint(path, Checkpoint(config, labels, preprocessing, network.state_dict()))


def write_images(folder: Path, count: int, height: int, width: int) -> None:
    """JPEG photographs of smooth shapes and grain, in ten folders."""
    rng = np.random.default_rng(SEED)
    for number in range(count):
        path = folder / f"{number % 10}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int64)
        grain = rng.integers(-9, 10, smooth.shape)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def damage(folder: Path) -> None:
    """Cut two images off."""
    for number in (123, 1234):
        path = folder / f"{number % 10}" / f"{number:05d}.jpg"
        path.write_bytes(path.read_bytes()[:400])


def in_one_process(folder: Path) -> None:
    """The masks and the areas of one process, one thread; made once."""
    if (folder / "one.json").is_file():
        return
    torch.set_num_threads(1)
    model = load(folder / "model.safetensors", "cpu", "torch", "fp32")
    begun = time.perf_counter()
    results = Results(areas=folder / "one.csv")
    summary = predict_folder(model, [folder / "images"], folder / "one", results=results)
    seconds = time.perf_counter() - begun
    failed = {str(path): reason for path, reason in summary.failed}
    content = {"seconds": seconds, "failed": failed}
    (folder / "one.json").write_text(json.dumps(content), encoding="utf-8")
