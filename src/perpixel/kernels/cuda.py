"""The operations on a ScoreMap on CUDA: torch's tensors in, Triton's kernels in the middle.

Imported when the first CUDA tensor comes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from jaxtyping import Float, Float32, Int64, Integer

from perpixel.kernels.cuda_confusion import count_kernel
from perpixel.kernels.cuda_cross_entropy import gradient_kernel, loss_kernel
from perpixel.kernels.cuda_winner import winner_kernel
from perpixel.score_map import ScoreMap, lookup

_BLOCK = 128
# Cells of one program, times the pixels that touch a cell, are the lanes of a gradient program.
_GRADIENT_LANES = 256


class _Axis(NamedTuple):
    """Where each pixel along an axis lies between two score cells, and which touch a cell."""

    first: torch.Tensor  # int32 (pixels)
    second: torch.Tensor  # int32 (pixels)
    weight: torch.Tensor  # float32 (pixels)
    start: torch.Tensor  # int32 (cells)
    end: torch.Tensor  # int32 (cells)

    @property
    def place(self) -> tuple[torch.Tensor, ...]:
        return self.first, self.second, self.weight


def _axis(score_map: ScoreMap, axis: int) -> tuple[_Axis, int]:
    """The axis, 0 for rows or 1 for columns, and the most pixels that touch one of its cells."""
    cells = score_map.scores.shape[2 + axis]
    # Made on the CPU, so that finding the most of them does not wait for the device.
    first, second, weight = lookup(
        score_map.size[axis], cells, score_map.stride[axis], score_map.offset[axis]
    )
    each = torch.arange(cells)
    start = torch.searchsorted(second, each)
    end = torch.searchsorted(first, each, right=True)
    most = max(1, int((end - start).max()))
    device = score_map.scores.device
    first, second, start, end = (
        part.to(torch.int32).to(device) for part in (first, second, start, end)
    )
    return _Axis(first, second, weight.to(device), start, end), most


def argmax(score_map: ScoreMap) -> Integer[torch.Tensor, "batch H W"]:
    """See `perpixel.kernels.argmax`."""
    return _winner(score_map, with_probability=False)[0]


def winner(
    score_map: ScoreMap,
) -> tuple[Integer[torch.Tensor, "batch H W"], Float32[torch.Tensor, "batch H W"]]:
    """See `perpixel.kernels.winner`."""
    return _winner(score_map, with_probability=True)


def _winner(score_map: ScoreMap, *, with_probability: bool) -> tuple[torch.Tensor, torch.Tensor]:
    scores = score_map.scores
    shape = (scores.shape[0], *score_map.size)
    label = torch.uint8 if score_map.classes <= 256 else torch.uint16
    mask = torch.empty(shape, device=scores.device, dtype=label)
    probability = torch.empty(shape if with_probability else (0,), device=scores.device)
    blocks = triton.cdiv(shape[2], _BLOCK)
    rows, columns = _axis(score_map, 0)[0], _axis(score_map, 1)[0]
    if mask.numel():
        winner_kernel[(shape[0] * shape[1] * blocks,)](
            mask,
            probability,
            scores,
            *scores.stride(),
            *rows.place,
            *columns.place,
            score_map.classes,
            *score_map.size,
            blocks,
            with_probability=with_probability,
            block=_BLOCK,
        )
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

    A label that is neither a class nor the ignore index makes the loss NaN.
    """
    scores, device = score_map.scores, score_map.scores.device
    images, classes, height, width = scores.shape
    mask = mask.contiguous()
    if class_weights is None:
        weights = torch.ones(classes, device=device)
        mean_weight = 1.0
    else:
        weights = class_weights.detach().to(torch.float32).contiguous()
        mean_weight = float(weights.mean()) if label_smoothing else 0.0
    (rows, _), (columns, touching) = _axis(score_map, 0), _axis(score_map, 1)
    blocks = triton.cdiv(score_map.size[1], _BLOCK)
    programs = images * score_map.size[0] * blocks
    losses, weighed = torch.zeros(2, programs, device=device)
    normaliser = torch.empty(mask.shape, device=device)
    options = (mask, weights, ignore_index, label_smoothing, label_smoothing * mean_weight)
    place = (scores, *scores.stride(), *rows.place, *columns.place)
    if programs:
        loss_kernel[(programs,)](
            losses,
            weighed,
            normaliser,
            *place,
            *options,
            classes,
            *score_map.size,
            blocks,
            block=_BLOCK,
        )
    loss, total = losses.double().sum(), weighed.double().sum()
    scale = 1 / torch.where(total > 0, total, 1) if reduction == "mean" else torch.ones_like(total)
    loss = (loss * scale).to(torch.float32)
    gradient = torch.zeros(scores.shape if with_gradient else (0,), device=device)
    if with_gradient and programs:
        slots = triton.next_power_of_2(touching)
        cells = max(1, _GRADIENT_LANES // slots)
        cell_blocks = triton.cdiv(width, cells)
        gradient_kernel[(images * classes * height * cell_blocks,)](
            gradient,
            normaliser,
            *place,
            *(rows.start, rows.end, columns.start, columns.end),
            *options,
            classes,
            height,
            width,
            *score_map.size,
            cell_blocks,
            cells=cells,
            touching=slots,
        )
        gradient *= scale.to(torch.float32)
    return loss, gradient


def confusion(
    prediction: Integer[torch.Tensor, "*shape"],
    mask: Integer[torch.Tensor, "*shape"],
    *,
    classes: int,
    ignore_index: int,
) -> Int64[torch.Tensor, "classes classes"]:
    """See `perpixel.kernels.confusion`."""
    counts = torch.zeros(classes, classes, dtype=torch.int64, device=mask.device)
    pixels = mask.numel()
    if pixels:
        count_kernel[(triton.cdiv(pixels, 1024),)](
            counts,
            prediction.contiguous(),
            mask.contiguous(),
            pixels,
            classes,
            ignore_index,
            block=1024,
        )
    return counts
