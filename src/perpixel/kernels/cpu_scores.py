"""Parts of the CPU kernels: two rows of scores, and the surface between four of them."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_vector import LANES, any_of, load, splat, store

# An extended row may be written up to this far beyond its end: the next class's row comes after.
SLACK = LANES
# The room that sixteen surfaces between four scores each take: see `surface`.
SURFACE = 4 * LANES


@part
@no_type_check
def room(count):
    """Float32 scratch that starts at a cache line: a vector across two lines costs twice."""
    array = np.empty(count + LANES, np.float32)
    start = (-(array.ctypes.data >> 2)) & (LANES - 1)
    return array[start : start + count]


@part
@no_type_check
def read_row(target, at, scores, source, plane, classes, columns, scale):
    """One row of all classes' scores, extended at both ends, times `scale`, into target[at:].

    `source` is where the first class's row starts and `plane` the way to the next class's. Returns
    whether all scores are finite.
    """
    factor = splat(scale)
    doubt, doubt_of_rest = splat(0.0), np.float32(0.0)
    for c in range(classes):
        row, to = source + c * plane, at + c * columns.pitch
        outer = splat(scores[row]) * factor
        for e in range(0, columns.lead, LANES):
            store(target, to + e, outer)
        row += columns.begin
        to += columns.lead
        done = 0
        while done + LANES <= columns.length:
            values = load(scores, row + done) * factor
            doubt = doubt + (values - values)
            store(target, to + done, values)
            done += LANES
        for i in range(done, columns.length):
            value = scores[row + i]
            doubt_of_rest += value - value
            target[to + i] = value * np.float32(scale)
        outer = splat(scores[row + columns.length - 1]) * factor
        for e in range(columns.length, columns.pitch - columns.lead, LANES):
            store(target, to + e, outer)
    return not (any_of(doubt != doubt) or np.isnan(doubt_of_rest))


@part
@no_type_check
def surface(upper, lower, at):
    """Sixteen neighbouring surfaces a + y·c + x·(b + y·d) between four scores each, as a, b, c, d.

    `upper` and `lower` are a score row's places in the array `at`; x and y run from 0 to 1.
    """
    a = load(at, upper)
    right = load(at, upper + 1)
    below = load(at, lower)
    across = load(at, lower + 1)
    return a, right - a, below - a, (across - right) - (below - a)


@part
@no_type_check
def put(surfaces, k, a, b, c, d):
    """Write a block of surfaces."""
    at = k * SURFACE
    store(surfaces, at, a)
    store(surfaces, at + LANES, b)
    store(surfaces, at + 2 * LANES, c)
    store(surfaces, at + 3 * LANES, d)
