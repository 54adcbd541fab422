"""Parts of the CPU kernels: the softmax of all pixels between sixteen times four scores.

With v_c the scores at a pixel in units of log2 e and M a bound on them, the probability of class c
is 2^(v_c - M) / s, s = Σ 2^(v_c - M). The powers and 1 / s are what the kernels go on with.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from perpixel.kernels.cpu_arithmetic import exp2, log2, maximum, minimum
from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_scores import SURFACE, put, surface
from perpixel.kernels.cpu_vector import LANES, any_of, load, muladd, splat, store, total, where

QUAD = GROUP * LANES
# Where the bound M may be further than 2^64 above the highest score, that is looked for instead.
SAFE_SPREAD = 64.0


@part
@no_type_check
def lay_surfaces(surfaces, gathered, score_rows, upper, lower, classes, pitch, block, target):
    """Lay out a block of surfaces for each class, below their common bound; clear `gathered`.

    One more surface is the classes' weighted sum, for label smoothing. Returns whether the bound
    may lie so far above the highest score that the powers would underflow.
    """
    bound, floor = splat(-np.inf), splat(-np.inf)
    for c in range(classes):
        at = c * pitch + block * LANES
        left, right = load(score_rows, upper + at), load(score_rows, upper + at + 1)
        below, across = load(score_rows, lower + at), load(score_rows, lower + at + 1)
        bound = maximum(maximum(maximum(left, right), maximum(below, across)), bound)
        floor = maximum(minimum(minimum(left, right), minimum(below, across)), floor)
    sum_a = sum_b = sum_c = sum_d = splat(0.0)
    for k in range(classes):
        at = k * pitch + block * LANES
        a, b, c, d = surface(upper + at, lower + at, score_rows)
        a = a - bound
        put(surfaces, k, a, b, c, d)
        if target.smoothing > 0.0:
            factor = splat(target.class_weights[k])
            sum_a, sum_b = muladd(factor, a, sum_a), muladd(factor, b, sum_b)
            sum_c, sum_d = muladd(factor, c, sum_c), muladd(factor, d, sum_d)
    put(surfaces, classes, sum_a, sum_b, sum_c, sum_d)
    zero = splat(0.0)
    for k in range(classes + 1):
        put(gathered, k, zero, zero, zero, zero)
    return any_of(bound - floor > splat(SAFE_SPREAD))


@part
@no_type_check
def group_from_bound(powers, importance, group, surfaces, classes, weight, columns, block):
    """Four slots' powers 2^(v - M), and the loss's log s; importance becomes importance / s."""
    first = (block * columns.slots + group * GROUP) * LANES
    x0, x1 = load(columns.weight, first), load(columns.weight, first + LANES)
    x2, x3 = load(columns.weight, first + 2 * LANES), load(columns.weight, first + 3 * LANES)
    y = splat(weight)
    sum0 = sum1 = sum2 = sum3 = splat(0.0)
    for k in range(classes):
        at = k * SURFACE
        start = muladd(y, load(surfaces, at + 2 * LANES), load(surfaces, at))
        slope = muladd(y, load(surfaces, at + 3 * LANES), load(surfaces, at + LANES))
        power0, power1 = exp2(muladd(x0, slope, start)), exp2(muladd(x1, slope, start))
        power2, power3 = exp2(muladd(x2, slope, start)), exp2(muladd(x3, slope, start))
        put(powers, k, power0, power1, power2, power3)
        sum0, sum1, sum2, sum3 = sum0 + power0, sum1 + power1, sum2 + power2, sum3 + power3
    at = group * QUAD
    zero = splat(0.0)
    return (
        settle(importance, at, sum0, zero)
        + settle(importance, at + LANES, sum1, zero)
        + settle(importance, at + 2 * LANES, sum2, zero)
        + settle(importance, at + 3 * LANES, sum3, zero)
    )


@part
@no_type_check
def group_from_maximum(powers, importance, group, surfaces, classes, weight, columns, block):
    """As `group_from_bound`, with each pixel's own highest score instead of the bound."""
    y = splat(weight)
    loss = 0.0
    for slot in range(GROUP):
        x = load(columns.weight, (block * columns.slots + group * GROUP + slot) * LANES)
        highest = splat(-np.inf)
        for k in range(classes):
            highest = maximum(value_of(surfaces, k, x, y), highest)
        together = splat(0.0)
        for k in range(classes):
            power = exp2(value_of(surfaces, k, x, y) - highest)
            store(powers, k * QUAD + slot * LANES, power)
            together = together + power
        loss += settle(importance, group * QUAD + slot * LANES, together, highest)
    return loss


@part
@no_type_check
def value_of(surfaces, k, x, y):
    """The scores of one class on one slot."""
    at = k * SURFACE
    start = muladd(y, load(surfaces, at + 2 * LANES), load(surfaces, at))
    slope = muladd(y, load(surfaces, at + 3 * LANES), load(surfaces, at + LANES))
    return muladd(x, slope, start)


@part
@no_type_check
def settle(importance, at, together, shift):
    """Turn importance into importance / s, and return importance · (shift + log2 s)."""
    weight = load(importance, at)
    store(importance, at, weight / together)
    counts = weight != splat(0.0)
    return total(where(counts, weight * (log2(together) + shift), weight))
