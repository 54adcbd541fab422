"""Counts of (truth, prediction) pairs, on CUDA."""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def count_kernel(counts, prediction, mask, pixels, classes, ignore_index, block: tl.constexpr):
    """One program for block pixels. Counts are whole numbers: their order does not matter."""
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < pixels
    truth = tl.load(mask + at, mask=inside, other=0).to(tl.int64)
    found = tl.load(prediction + at, mask=inside, other=0).to(tl.int64)
    known = inside & (truth != ignore_index) & (truth >= 0) & (truth < classes)
    known = known & (found >= 0) & (found < classes)
    one = tl.full((block,), 1, tl.int64)
    tl.atomic_add(counts + truth * classes + found, one, mask=known)
