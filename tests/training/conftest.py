"""A dataset of six tiny drawn images, and the settings of a run that takes a second."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from perpixel.checkpoint import read_checkpoint
from perpixel.training import TrainConfig, files
from perpixel.training.state_file import read_state

CLASSES = "classes: [ground, {name: box, color: [200, 30, 30]}]\nignore_index: 255\n"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Bright boxes on dark ground: four training and two validation images, of two sizes."""
    rng = np.random.default_rng(0)
    root = tmp_path / "boxes"
    for split, count in (("train", 4), ("val", 2)):
        (root / split / "images").mkdir(parents=True)
        (root / split / "masks").mkdir()
        for number in range(count):
            image = rng.integers(0, 90, (50, 70 + 3 * number, 3), np.uint8)
            mask = np.zeros(image.shape[:2], np.uint8)
            top, left = int(rng.integers(0, 20)), int(rng.integers(0, 30))
            image[top : top + 22, left : left + 30] += 130
            mask[top : top + 22, left : left + 30] = 1
            mask[:2] = 255
            cv2.imwrite(str(root / split / "images" / f"{number}.png"), image)
            cv2.imwrite(str(root / split / "masks" / f"{number}.png"), mask)
    (root / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    return root


@pytest.fixture
def quick(boxes: Path, tmp_path: Path) -> TrainConfig:
    """Two epochs of two steps on a tiny backbone from scratch, in this process."""
    torch.set_num_threads(1)
    return TrainConfig.of(
        data=boxes,
        out=tmp_path / "run",
        network="fcn8s",
        backbone="test_efficientnet",
        head_channels=8,
        weights="none",
        epochs=2,
        batch_size=2,
        precision="fp32",
        workers=0,
        tracker="none",
    )


def outcome(folder: Path) -> dict[str, object]:
    """All that a run's result is: its metrics, its model's and its state's tensors, bit for bit.

    Without what a clock says.
    """
    clocks = ("seconds", "images_per_second")
    metrics = [
        {name: value for name, value in entry.items() if name not in clocks}
        for entry in files.read_metrics(folder)
    ]
    state = read_state(folder)
    model = read_checkpoint(folder / files.MODEL)
    assert model.provenance["validation"] in [entry["validation"] for entry in metrics]
    return {
        "metrics": metrics,
        "model": {name: bits(value) for name, value in model.weights.items()},
        "state": {name: bits(value) for name, value in state.tensors.items()},
        "step": (state.facts["step"], state.facts["epoch"], state.facts["batch"]),
        "best": state.facts["best_counts"],
    }


def bits(tensor: torch.Tensor) -> bytes:
    """A tensor's memory."""
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy())
