"""Dice, and which pixels are hard, on a CPU: torch's tensors in, Numba's kernel in the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Integer

from perpixel.kernels.cpu_labels import Labels, Target
from perpixel.kernels.cpu_pieces import Pieces, check, cut, join, read_labels
from perpixel.kernels.cpu_probability import Slopes, Wanted, probability_strips
from perpixel.kernels.cpu_threads import side_by_side
from perpixel.score_map import ScoreMap

_NOTHING = np.empty(0, np.float32)
_NO_SUMS = np.empty(0, np.float64)
_NO_SLOPES = Slopes(_NOTHING, _NOTHING)


def dice(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    with_gradient: bool,
) -> tuple[Float32[torch.Tensor, ""], Float32[torch.Tensor, "*scores"]]:
    """The loss and, unless it is not wanted and empty, its gradient by the scores.

    Raises:
        DataError: the mask holds a label that is neither a class nor the ignore index.
    """
    pieces, labels = cut(score_map), read_labels(mask, ignore_index)
    classes, height, width = pieces.shape
    sums = np.zeros((len(pieces), 3, classes))
    _run(pieces, labels, Wanted(_NOTHING, sums.reshape(-1), _NOTHING, _NOTHING), _NO_SLOPES)
    check(labels, classes)
    probability, own, labelled = sums.sum(axis=0)
    there = labelled > 0
    among = max(1, int(there.sum()))
    together = np.where(there, probability + labelled, 1)
    scores = 2 * own / together
    # Of a class that no pixel has, nothing is asked.
    loss = float((1 - scores)[there].sum()) / among
    gradient = np.zeros((pieces.images, classes, height, width) if with_gradient else 0, np.float32)
    if with_gradient:
        other = np.where(there, scores / together, 0) / among
        own_slope = other - np.where(there, 2 / together, 0) / among
        edges = np.zeros((len(pieces), 2, classes, width), np.float32)
        wanted = Wanted(_NOTHING, _NO_SUMS, gradient.reshape(-1), edges.reshape(-1))
        _run(pieces, labels, wanted, Slopes(own_slope.astype(np.float32), other.astype(np.float32)))
        join(gradient, edges, pieces)
    return torch.tensor(loss, dtype=torch.float32), torch.from_numpy(gradient)


def hard_pixels(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    share: float,
) -> Integer[torch.Tensor, "batch H W"]:
    """See `perpixel.kernels.hard_pixels`.

    Raises:
        DataError: the mask holds a label that is neither a class nor the ignore index.
    """
    pieces, labels = cut(score_map), read_labels(mask, ignore_index)
    # Out of reach, so that pixels without a label are never the hard ones.
    odds = np.full(mask.shape, np.inf, np.float32)
    _run(pieces, labels, Wanted(odds.reshape(-1), _NO_SUMS, _NOTHING, _NOTHING), _NO_SLOPES)
    check(labels, pieces.shape[0])
    kept = mask.numpy().copy()
    known = odds[kept != ignore_index]
    if known.size:
        last = math.ceil(share * known.size) - 1
        # Not <=: a score that is no number has to show in the loss.
        kept[odds > np.partition(known, last)[last]] = ignore_index
    return torch.from_numpy(kept)


def _run(pieces: Pieces, labels: Labels, wanted: Wanted, slopes: Slopes) -> None:
    target = Target(np.ones(pieces.shape[0], np.float32), 0.0, 0.0)

    def work(indices: Iterator[int]) -> None:
        for piece in indices:
            probability_strips(
                wanted,
                slopes,
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
