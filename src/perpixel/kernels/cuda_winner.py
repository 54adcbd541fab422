"""The class of the highest score at every pixel, and its probability, on CUDA."""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def interpolated(scores, upper, lower, left, right, down, across, inside):
    """Scores between two rows and two columns, from pointers and weights, in float32."""
    top_left = tl.load(scores + upper + left, mask=inside, other=0.0).to(tl.float32)
    top_right = tl.load(scores + upper + right, mask=inside, other=0.0).to(tl.float32)
    bottom_left = tl.load(scores + lower + left, mask=inside, other=0.0).to(tl.float32)
    bottom_right = tl.load(scores + lower + right, mask=inside, other=0.0).to(tl.float32)
    start = top_left + down * (bottom_left - top_left)
    end = top_right + down * (bottom_right - top_right)
    return start + across * (end - start)


@triton.jit
@no_type_check
def winner_kernel(
    winner,
    probability,
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
    classes,
    height,
    width,
    blocks,
    with_probability: tl.constexpr,
    block: tl.constexpr,
):
    """One program for block neighbouring pixels; `blocks` of these to a row of the image."""
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
    scores += image.to(tl.int64) * by_image
    best = tl.full((block,), float("-inf"), tl.float32)
    together = tl.zeros((block,), tl.float32)
    index = tl.zeros((block,), tl.int32)
    for label in range(classes):
        value = interpolated(scores, upper, lower, left, right, down, across, inside)
        # A NaN is better than any number, and nothing is better than a NaN.
        better = (value > best) | ((value != value) & (best == best))
        if with_probability:
            raised = tl.where(better, value, best)
            # Where all scores so far are -inf, the sum stays 0 instead of becoming NaN.
            kept = tl.where(together > 0, together * tl.exp(best - raised), 0.0)
            added = tl.where(value == float("-inf"), 0.0, tl.exp(value - raised))
            together = kept + added
        best = tl.where(better, value, best)
        index = tl.where(better, label, index)
        scores += by_class
    at = row.to(tl.int64) * width + x
    tl.store(winner + at, index.to(winner.dtype.element_ty), mask=inside)
    if with_probability:
        tl.store(probability + at, 1.0 / together, mask=inside)
