"""Cross-entropy of the upsampled scores and its gradient, on CUDA.

Two kernels: the first leaves log Σ exp of every pixel, the second lets each program own a block of
score cells and gather from the pixels that touch them. So no addition is atomic, and the same input
gives the same bits.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

from perpixel.kernels.cuda_winner import interpolated


@triton.jit
@no_type_check
def loss_kernel(
    losses,
    weights,
    normaliser,
    scores,
    by_image,
    by_class,
    by_row,
    by_column,
    row_first,
    row_second,
    row_weight,
    column_first,
    column_second,
    column_weight,
    mask,
    class_weights,
    ignore_index,
    smoothing,
    everywhere,
    classes,
    height,
    width,
    blocks,
    block: tl.constexpr,
):
    """One program for block neighbouring pixels; its sums go to its own place.

    `normaliser` (B, H, W) becomes log Σ exp; `everywhere` is smoothing times the mean class weight.
    """
    program = tl.program_id(0)
    row, image = program // blocks, program // blocks // height
    y = row % height
    x = program % blocks * block + tl.arange(0, block)
    inside = x < width
    left = tl.load(column_first + x, mask=inside, other=0) * by_column
    right = tl.load(column_second + x, mask=inside, other=0) * by_column
    across = tl.load(column_weight + x, mask=inside, other=0.0)
    upper = tl.load(row_first + y) * by_row
    lower = tl.load(row_second + y) * by_row
    down = tl.load(row_weight + y)
    at = row.to(tl.int64) * width + x
    truth = tl.load(mask + at, mask=inside, other=0).to(tl.int64)
    labelled = inside & (truth != ignore_index)
    known = labelled & (truth >= 0) & (truth < classes)
    scores += image.to(tl.int64) * by_image
    highest = tl.full((block,), float("-inf"), tl.float32)
    together = tl.zeros((block,), tl.float32)
    own = tl.zeros((block,), tl.float32)
    spread = tl.zeros((block,), tl.float32)
    for label in range(classes):
        value = interpolated(scores, upper, lower, left, right, down, across, inside)
        raised = tl.where((value > highest) | (value != value), value, highest)
        kept = tl.where(together > 0, together * tl.exp(highest - raised), 0.0)
        together = tl.where(together == together, kept, together) + tl.exp(value - raised)
        highest = raised
        own = tl.where(truth == label, value, own)
        spread += tl.load(class_weights + label) * value
        scores += by_class
    logarithm = highest + tl.log(together)
    tl.store(normaliser + at, logarithm, mask=inside)
    weight = tl.load(class_weights + truth, mask=known, other=0.0)
    loss = (1.0 - smoothing) * weight * (logarithm - own)
    # `everywhere` is smoothing / classes times the sum of the weights.
    loss += everywhere * logarithm - smoothing / classes * spread
    loss = tl.where(labelled, tl.where(known, loss, float("nan")), 0.0)
    tl.store(losses + program, tl.sum(loss, axis=0))
    tl.store(weights + program, tl.sum(weight, axis=0))


@triton.jit
@no_type_check
def gradient_kernel(
    gradient,
    normaliser,
    scores,
    by_image,
    by_class,
    by_row,
    by_column,
    row_first,
    row_second,
    row_weight,
    column_first,
    column_second,
    column_weight,
    row_start,
    row_end,
    column_start,
    column_end,
    mask,
    class_weights,
    ignore_index,
    smoothing,
    everywhere,
    classes,
    rows,
    columns,
    height,
    width,
    blocks,
    cells: tl.constexpr,
    touching: tl.constexpr,
):
    """One program for cells neighbouring score cells of one class.

    Each looks at the pixels from its `start` to its `end`, which are at most touching in a row.
    `gradient` is contiguous (B, C, rows, columns).
    """
    program = tl.program_id(0)
    plane, cell_row = program // blocks // rows, program // blocks % rows
    image, label = plane // classes, plane % classes
    cell = program % blocks * cells + tl.arange(0, cells)
    owned = cell < columns
    start = tl.load(column_start + cell, mask=owned, other=0)
    end = tl.load(column_end + cell, mask=owned, other=0)
    x = start[:, None] + tl.arange(0, touching)[None, :]
    inside = x < end[:, None]
    first = tl.load(column_first + x, mask=inside, other=0)
    second = tl.load(column_second + x, mask=inside, other=0)
    across = tl.load(column_weight + x, mask=inside, other=0.0)
    share = tl.where(first == cell[:, None], 1.0 - across, 0.0)
    share += tl.where(second == cell[:, None], across, 0.0)
    scores += image.to(tl.int64) * by_image + label.to(tl.int64) * by_class
    own_weight = tl.load(class_weights + label)
    together = tl.zeros((cells,), tl.float32)
    for y in range(tl.load(row_start + cell_row), tl.load(row_end + cell_row)):
        upper, lower = tl.load(row_first + y), tl.load(row_second + y)
        down = tl.load(row_weight + y)
        value = interpolated(
            scores,
            upper * by_row,
            lower * by_row,
            first * by_column,
            second * by_column,
            down,
            across,
            inside,
        )
        at = (image.to(tl.int64) * height + y) * width + x
        truth = tl.load(mask + at, mask=inside, other=0).to(tl.int64)
        known = inside & (truth != ignore_index) & (truth >= 0) & (truth < classes)
        logarithm = tl.load(normaliser + at, mask=inside, other=0.0)
        weight = tl.load(class_weights + truth, mask=known, other=0.0)
        slope = ((1.0 - smoothing) * weight + everywhere) * tl.exp(value - logarithm)
        slope -= tl.where(truth == label, (1.0 - smoothing) * weight, 0.0)
        slope -= smoothing / classes * own_weight
        height_share = tl.where(upper == cell_row, 1.0 - down, 0.0)
        height_share += tl.where(lower == cell_row, down, 0.0)
        together += height_share * tl.sum(tl.where(known, slope * share, 0.0), axis=1)
    at = (plane.to(tl.int64) * rows + cell_row) * columns + cell
    tl.store(gradient + at, together, mask=owned)
