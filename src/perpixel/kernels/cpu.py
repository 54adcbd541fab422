"""The operations on a ScoreMap on a CPU: torch's tensors in, Numba's kernels in the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Integer

from perpixel.errors import DataError
from perpixel.kernels.cpu_confusion import BYTE, COPIES, count_bytes, count_pairs
from perpixel.kernels.cpu_cross_entropy import cross_entropy_strips
from perpixel.kernels.cpu_imbalance import dice, hard_pixels
from perpixel.kernels.cpu_labels import Target
from perpixel.kernels.cpu_pieces import check, cut, join, read_labels
from perpixel.kernels.cpu_threads import side_by_side
from perpixel.kernels.cpu_winner import winner_strips
from perpixel.score_map import ScoreMap

__all__ = ["argmax", "confusion", "cross_entropy", "dice", "hard_pixels", "winner"]


def argmax(score_map: ScoreMap) -> Integer[torch.Tensor, "batch H W"]:
    """See `perpixel.kernels.argmax`."""
    return _winner(score_map, with_probability=False)[0]


def winner(
    score_map: ScoreMap,
) -> tuple[Integer[torch.Tensor, "batch H W"], Float32[torch.Tensor, "batch H W"]]:
    """See `perpixel.kernels.winner`."""
    return _winner(score_map, with_probability=True)


def _winner(score_map: ScoreMap, *, with_probability: bool) -> tuple[torch.Tensor, torch.Tensor]:
    pieces = cut(score_map)
    label = torch.uint8 if score_map.classes <= 256 else torch.uint16
    mask = torch.empty(pieces.images, *score_map.size, dtype=label)
    probability = torch.empty(mask.shape if with_probability else (0, 0, 0))
    mask_bytes, probability_array = mask.view(torch.uint8).view(-1).numpy(), probability.numpy()

    def work(indices: Iterator[int]) -> None:
        for piece in indices:
            winner_strips(
                mask_bytes,
                mask.itemsize,
                probability_array,
                pieces.scores,
                pieces.shape,
                *pieces.place(piece),
                pieces.rows,
                pieces.columns,
            )

    side_by_side(work, len(pieces))
    return mask, probability


def cross_entropy(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    class_weights: Float[torch.Tensor, "classes"] | None,
    *,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
    with_gradient: bool,
) -> tuple[Float32[torch.Tensor, ""], Float32[torch.Tensor, "*scores"]]:
    """The loss and, unless it is not wanted and empty, its gradient by the scores.

    Raises:
        DataError: the mask holds a label that is neither a class nor the ignore index.
    """
    pieces = cut(score_map)
    classes, height, width = pieces.shape
    shape = (pieces.images, classes, height, width)
    gradient = np.zeros(shape if with_gradient else 0, np.float32)
    edges = np.zeros((len(pieces) if with_gradient else 0, 2, classes, width), np.float32)
    weights = np.ones(classes, np.float32)
    if class_weights is not None:
        weights = class_weights.detach().to(torch.float32).contiguous().numpy()
    target = Target(weights, float(label_smoothing), label_smoothing * float(weights.mean()))
    labels = read_labels(mask, ignore_index)
    losses, weighed = np.zeros((2, pieces.images, len(pieces.rows.first)))
    flat_gradient, flat_edges = gradient.reshape(-1), edges.reshape(-1)

    def work(indices: Iterator[int]) -> None:
        for piece in indices:
            cross_entropy_strips(
                flat_gradient,
                flat_edges,
                losses,
                weighed,
                pieces.scores,
                pieces.shape,
                labels,
                target,
                *pieces.place(piece),
                piece,
                pieces.rows,
                pieces.columns,
            )

    side_by_side(work, len(pieces))
    check(labels, classes)
    loss, total = float(losses.sum()) * math.log(2), float(weighed.sum())
    scale = 1 / total if reduction == "mean" and total > 0 else 1.0
    if with_gradient:
        join(gradient, edges, pieces)
        gradient *= np.float32(scale)
    return torch.tensor(loss * scale, dtype=torch.float32), torch.from_numpy(gradient)


def confusion(
    prediction: Integer[torch.Tensor, "*shape"],
    mask: Integer[torch.Tensor, "*shape"],
    *,
    classes: int,
    ignore_index: int,
) -> Int64[torch.Tensor, "classes classes"]:
    """See `perpixel.kernels.confusion`."""
    found, truth = _flat(prediction), _flat(mask)
    in_bytes = found.dtype == truth.dtype == np.uint8
    # Counts have 32 bits: no part may have more pixels.
    parts = max(1, min(torch.get_num_threads(), truth.size >> 16), truth.size >> 31)
    cuts = [truth.size * k // parts for k in range(parts + 1)]
    side = BYTE if in_bytes else classes
    counts = np.zeros((parts, COPIES * side * side), np.uint32)
    wrong = np.full(parts, -1)

    def work(indices: Iterator[int]) -> None:
        for k in indices:
            place = (cuts[k], cuts[k + 1])
            if in_bytes:
                count_bytes(counts[k], found, truth, *place)
            else:
                wrong[k] = count_pairs(counts[k], found, truth, classes, ignore_index, *place)

    side_by_side(work, parts)
    squares = counts.reshape(-1, side, side)
    pairs = [(truth[place], found[place]) for place in wrong[wrong >= 0]]
    ignored = 0
    if in_bytes and 0 <= ignore_index < BYTE:
        ignored = int(squares[:, ignore_index].sum(dtype=np.int64))
        squares[:, ignore_index] = 0
    total = squares[:, :classes, :classes].sum(axis=0, dtype=np.int64)
    if in_bytes and total.sum() + ignored != truth.size:
        everything = np.argwhere(squares.any(axis=0))
        pairs = [(row, at) for row, at in everything if max(row, at) >= classes]
    for label, predicted in pairs:
        raise DataError(
            "confusion",
            found=f"label {label}, prediction {predicted}",
            expected=f"classes 0 to {classes - 1}, or label {ignore_index} where there is none",
            mend="Check the dataset's masks and its list of classes",
        )
    return torch.from_numpy(np.pad(total, (0, classes - len(total))))


def _flat(labels: torch.Tensor) -> np.ndarray:
    known = labels.dtype in (torch.uint8, torch.uint16, torch.int64)
    return (labels if known else labels.to(torch.int64)).contiguous().view(-1).numpy()
