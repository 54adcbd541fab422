"""How fine the masks of a dataset are: what a grid of a stride can keep of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float32, Integer

from perpixel import kernels
from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion
from perpixel.score_map import ScoreMap

# Of a large mask only its middle is looked at: a few million pixels say enough.
LARGEST = 1024


def kept(masks: Iterable[Integer[np.ndarray, "_ _"]], labels: LabelSpace, stride: int) -> float:
    """The mean IoU that the truth itself keeps on a grid of this stride, 0 … 1.

    Every mask is averaged to each class's share of a cell, and brought back as a network's scores
    are: upsampled bilinearly, and the largest taken. No network of that stride whose scores are
    such shares can do better, so it says how coarse a network may be for these masks.

    Args:
        masks: class indices or the ignore index, (H, W) each.
        labels: what their values mean.
        stride: pixels for each cell.

    Returns:
        the mean over the classes that occur; NaN where no pixel is labelled.
    """
    confusion = Confusion(labels)
    for mask in masks:
        middle = _middle(mask)
        shares = torch.from_numpy(_shares(middle, labels, stride))[None]
        score_map = ScoreMap.of(shares, middle.shape, float(stride))
        found = kernels.argmax(score_map)[0].numpy()
        # Classes that do not occur here have no plane of their own in `shares`.
        confusion.update(_present(middle, labels)[found], middle)
    return confusion.scores().mean_iou


def _middle(mask: Integer[np.ndarray, "_ _"]) -> Integer[np.ndarray, "_ _"]:
    top, left = (max(0, (length - LARGEST) // 2) for length in mask.shape)
    return np.ascontiguousarray(mask[top : top + LARGEST, left : left + LARGEST])


def _present(mask: Integer[np.ndarray, "_ _"], labels: LabelSpace) -> Integer[np.ndarray, "_"]:
    present = np.flatnonzero(labels.pixels_by_class(mask))
    return (present if len(present) else np.zeros(1, np.int64)).astype(labels.mask_dtype)


def _shares(
    mask: Integer[np.ndarray, "_ _"], labels: LabelSpace, stride: int
) -> Float32[np.ndarray, "_ _ _"]:
    """Each present class's share of the pixels of every cell, (classes, h, w)."""
    height, width = mask.shape
    rows, columns = -(-height // stride), -(-width // stride)
    present = _present(mask, labels)
    planes = np.zeros((len(present), rows * stride, columns * stride), np.float32)
    planes[:, :height, :width] = mask == present[:, None, None]
    cells = planes.reshape(len(present), rows, stride, columns, stride)
    return np.asarray(cells.mean((2, 4)), np.float32)
