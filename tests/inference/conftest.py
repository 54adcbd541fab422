"""A small network and images that the tests of inference share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


class Coarse(nn.Module):
    """Any network of ours in small: pads to a grid of 4, scores cells of 4 pixels."""

    grid = 4
    whole_image_layer = None

    def __init__(self, classes: int, bands: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(classes)
        self.convolution = nn.Conv2d(bands, classes, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            for weight in self.convolution.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator))
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> ScoreMap:
        self.seen.append(images)
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % 4, 0, -height % 4))
        scores = self.dropout(self.convolution(F.avg_pool2d(padded, 4)))
        return ScoreMap.of(scores, (height, width), stride=4.0)


@pytest.fixture
def labels() -> LabelSpace:
    return LabelSpace(
        names=("sky", "sea", "sand", "boat"),
        colours=((120, 180, 240), (0, 60, 160), (230, 200, 120), (200, 40, 40)),
        ignore_index=255,
    )


@pytest.fixture
def model(labels: LabelSpace) -> Model:
    return Model(Coarse(4), labels, Preprocessing(), torch.device("cpu"))


@pytest.fixture
def picture() -> np.ndarray:
    """A photograph of odd size: smooth shapes and some noise, uint8 (H, W, 3)."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
    smooth = np.asarray(coarse.resize((61, 43), Image.Resampling.BICUBIC)).astype(np.int64)
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)
