"""Random score maps of odd shapes, strides and offsets, and masks for them."""

from __future__ import annotations

import numpy as np
import torch

from perpixel.score_map import ScoreMap

IGNORED = 255


def random_map(rng: np.random.Generator, classes: int | None = None) -> ScoreMap:
    """Up to 30 classes, and any stride from a shrinking to a twentyfold one."""
    images, height, width = int(rng.integers(1, 4)), *rng.integers(1, 24, 2).tolist()
    classes = classes or int(rng.integers(1, 31))
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    scores = torch.randn(images, classes, height, width, generator=generator)
    size = (int(rng.integers(1, 120)), int(rng.integers(1, 120)))
    match int(rng.integers(4)):
        case 0:  # as F.interpolate ends
            return ScoreMap.of(scores, size)
        case 1:  # as our networks end
            stride = float(2 ** rng.integers(0, 5))
            return ScoreMap.of(scores, size, stride)
        case 2:  # as the paper crops
            return ScoreMap.of(scores, size, 8.0, float(rng.choice([19, 27, 31])) / 8 - 0.5)
        case _:
            stride = (float(rng.uniform(0.3, 20)), float(rng.uniform(0.3, 20)))
            return ScoreMap.of(scores, size, stride, tuple(rng.normal(0, 2, 2).tolist()))


def random_mask(rng: np.random.Generator, score_map: ScoreMap) -> torch.Tensor:
    """A label for every pixel, a fifth of them ignored, in one of the three types."""
    shape = (score_map.scores.shape[0], *score_map.size)
    mask = rng.integers(0, score_map.classes, shape)
    mask[rng.random(shape) < 0.2] = IGNORED
    return torch.from_numpy(mask.astype(rng.choice(["uint8", "uint16", "int64"])))


def in_float64(score_map: ScoreMap) -> ScoreMap:
    """The same scores in float64, for a gradient of their own."""
    scores = score_map.scores.detach().double().requires_grad_()
    return ScoreMap(scores, score_map.stride, score_map.offset, score_map.size)
