"""A dataset of six tiny drawn images, and the settings of a run that takes a second."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from perpixel.training import TrainConfig

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
    )
