"""Counts of (truth, prediction) pairs, on a CPU."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from perpixel.kernels.cpu_compiled import kernel

# Neighbouring pixels mostly fall into the same count. In turn into one of two, an addition need not
# wait for the one before it.
COPIES = 2
BYTE = 256
# In a picture most pixels are like their neighbours: eight at a time are looked at first.
EIGHT = 8
EQUAL_BYTES = np.uint64(0x0101010101010101)


@kernel
@no_type_check
def count_bytes(counts, prediction, mask, low, high):
    """Add the pixels low to high of two flat uint8 arrays to `counts` (copies · 256 · 256).

    All pairs are counted, also those that are no classes: to look would take longer than to count.
    """
    words = (high - low) // EIGHT
    middle = low + words * EIGHT
    truths = mask[low:middle].view(np.uint64)
    founds = prediction[low:middle].view(np.uint64)
    for k in range(words):
        truth, found = truths[k] & np.uint64(255), founds[k] & np.uint64(255)
        if truths[k] == truth * EQUAL_BYTES and founds[k] == found * EQUAL_BYTES:
            counts[truth << np.uint64(8) | found] += EIGHT
            continue
        at = low + k * EIGHT
        for i in range(at, at + EIGHT, 2):
            counts[np.uintp(mask[i]) << 8 | np.uintp(prediction[i])] += 1
            counts[np.uintp(BYTE + mask[i + 1]) << 8 | np.uintp(prediction[i + 1])] += 1
    for i in range(middle, high):
        counts[np.uintp(mask[i]) << 8 | np.uintp(prediction[i])] += 1


@kernel
@no_type_check
def count_pairs(counts, prediction, mask, classes, ignore_index, low, high):
    """Add the pixels low to high of two flat arrays to `counts` (copies · classes · classes).

    Returns the place of a labelled pixel that has a class out of range, or -1.
    """
    wrong = -1
    for i in range(low, high):
        truth = np.int64(mask[i])
        if truth == ignore_index:
            continue
        found = np.int64(prediction[i])
        if truth < 0 or truth >= classes or found < 0 or found >= classes:
            wrong = i
            continue
        counts[((i % COPIES) * classes + truth) * classes + found] += 1
    return wrong
