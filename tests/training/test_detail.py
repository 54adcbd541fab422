"""What a grid keeps of masks, against torch's own averaging."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion
from perpixel.training.detail import LARGEST, kept

LABELS = LabelSpace.of(["a", "b", "c", "d", "e"])


def blobs(height: int, width: int, seed: int) -> np.ndarray:
    """Some classes in blobs a few pixels wide, and pixels without a label."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 4, height // 5 + 2, width // 5 + 2), np.float32))
    fine = F.interpolate(coarse, (height, width), mode="bicubic").argmax(1)[0]
    mask = fine.numpy().astype(np.uint8)
    mask[: height // 7] = LABELS.ignore_index
    return mask


def reference(masks: list[np.ndarray], stride: int) -> float:
    confusion = Confusion(LABELS)
    for mask in masks:
        height, width = mask.shape
        padded = F.pad(
            torch.from_numpy(mask), (0, -width % stride, 0, -height % stride), value=255
        ).long()
        planes = F.one_hot(padded.clamp(max=5), 6).permute(2, 0, 1)[None, :5].float()
        cells = F.avg_pool2d(planes, stride)
        full = F.interpolate(cells, scale_factor=stride, mode="bilinear")
        confusion.update(full.argmax(1)[0, :height, :width].numpy(), mask)
    return confusion.scores().mean_iou


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_what_is_kept_is_what_torch_keeps(stride: int) -> None:
    masks = [blobs(57, 91, 0), blobs(40, 33, 1)]
    # Ties between classes may fall either way.
    assert kept(masks, LABELS, stride) == pytest.approx(reference(masks, stride), abs=2e-3)


def test_a_grid_of_single_pixels_keeps_everything_and_coarser_ones_less() -> None:
    masks = [blobs(64, 96, 2)]
    shares = [kept(masks, LABELS, stride) for stride in (1, 2, 4, 8, 16, 32)]
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.7


def test_masks_without_a_label_say_nothing() -> None:
    assert math.isnan(kept([np.full((9, 9), 255, np.uint8)], LABELS, 4))
    assert math.isnan(kept([], LABELS, 4))


def test_of_a_large_mask_the_middle_is_looked_at() -> None:
    mask = np.zeros((LARGEST + 200, 300), np.uint8)
    mask[:100:2] = 1  # stripes that no grid keeps, above the middle
    assert kept([mask], LABELS, 8) == 1.0
