"""The class of the highest score at every pixel, and its probability, on a CPU."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from perpixel.kernels.cpu_arithmetic import LOG2_E, exp2, maximum, minimum
from perpixel.kernels.cpu_compiled import kernel, part
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_mask import pack, write_row
from perpixel.kernels.cpu_scores import SLACK, read_row, room
from perpixel.kernels.cpu_vector import (
    LANES,
    any_of,
    load,
    muladd,
    splat,
    splat_integer,
    store,
    where,
)

LINE = 2 * LANES
QUAD = GROUP * LANES
# A class e^-32 as probable as the winner adds nothing to a float32 sum, nor do 65,535 of them.
NEGLIGIBLE = 32.0


@kernel
@no_type_check
def winner_strips(out, label_bytes, probability, scores, shape, image, low, high, rows, columns):
    """Fill in the pixel rows of strips low to high of one image.

    Args:
        out: uint8, flat: the bytes of the (B, H, W) labels, `label_bytes` (1 or 2) for each.
        probability: float32 (B, H, W), or empty where it is not wanted.
        scores: flat (B, C, h, w); shape: its (C, h, w).
    """
    classes, height, width = shape
    pitch = columns.pitch
    size = classes * pitch + SLACK
    score_rows = room(2 * size)
    ceilings = room(classes * LANES)
    lines = room(classes * LINE)
    candidates = np.empty(classes, np.int32)
    tile = np.empty(columns.slots * LANES, np.int32)
    words = np.empty(columns.slots * LANES // 2, np.int32)
    heights = room(columns.slots * LANES)
    plane = height * width
    base = image * classes * plane
    with_probability = probability.size > 0
    margin = NEGLIGIBLE if with_probability else 0.0
    held, finite = -1, True
    upper, lower = 0, size
    for strip in range(low, high):
        upper, lower = lower, upper
        first, second = rows.first[strip], rows.second[strip]
        if held != first:
            finite = read_row(
                score_rows, upper, scores, base + first * width, plane, classes, columns, 1.0
            )
        upper_finite = finite
        finite = read_row(
            score_rows, lower, scores, base + second * width, plane, classes, columns, 1.0
        )
        held = second
        for block in range(columns.groups.size):
            left = block * LANES
            count = 0
            if finite and upper_finite:
                count = possible_winners(
                    candidates,
                    ceilings,
                    score_rows,
                    upper + left,
                    lower + left,
                    classes,
                    pitch,
                    margin,
                )
            for y in range(rows.start[strip], rows.start[strip + 1]):
                weight = rows.weight[y]
                lines_of(
                    lines, candidates, count, score_rows, upper + left, lower + left, pitch, weight
                )
                for group in range(columns.groups[block]):
                    at = (block * columns.slots + group * GROUP) * LANES
                    if count > 0:
                        best_of_finite(
                            tile, heights, group, lines, candidates, count, columns.weight, at
                        )
                        if with_probability:
                            confidence(heights, group, lines, count, columns.weight, at)
                    else:
                        best_of_any(
                            tile,
                            heights,
                            group,
                            score_rows,
                            upper + left,
                            lower + left,
                            classes,
                            pitch,
                            weight,
                            columns.weight,
                            at,
                        )
                    pack(words, tile, group, label_bytes)
                row = (image * rows.weight.size + y) * columns.place.size
                write_row(out, row, words, columns, block, label_bytes)
                if with_probability:
                    for x in range(columns.start[block], columns.start[block + 1]):
                        probability[image, y, x] = heights[columns.place[x]]


@part
@no_type_check
def possible_winners(candidates, ceilings, score_rows, upper, lower, classes, pitch, margin):
    """List the classes that can win somewhere in a block, in order; return how many they are.

    Between four scores an interpolated one is nowhere above the highest or below the lowest, so a
    class whose highest is below another's lowest does not win there. Classes within `margin` of
    winning are listed too. `upper` and `lower` are the block's places in the first class's rows.
    """
    floor = splat(-np.inf)
    for c in range(classes):
        at = c * pitch
        left, right = load(score_rows, upper + at), load(score_rows, upper + at + 1)
        below, across = load(score_rows, lower + at), load(score_rows, lower + at + 1)
        floor = maximum(minimum(minimum(left, right), minimum(below, across)), floor)
        ceiling = maximum(maximum(left, right), maximum(below, across))
        store(ceilings, c * LANES, ceiling)
    floor = floor - splat(margin)
    count = 0
    for c in range(classes):
        if any_of(load(ceilings, c * LANES) >= floor):
            candidates[count] = c
            count += 1
    return count


@part
@no_type_check
def lines_of(lines, candidates, count, score_rows, upper, lower, pitch, weight):
    """The scores along one pixel row, as start and slope in each lane, of the listed classes."""
    y = splat(weight)
    for k in range(count):
        at = candidates[k] * pitch
        left, right = load(score_rows, upper + at), load(score_rows, upper + at + 1)
        left = muladd(y, load(score_rows, lower + at) - left, left)
        right = muladd(y, load(score_rows, lower + at + 1) - right, right)
        store(lines, k * LINE, left)
        store(lines, k * LINE + LANES, right - left)


@part
@no_type_check
def best_of_finite(tile, heights, group, lines, candidates, count, weights, first):
    """The first class of the highest score, for a group of four slots."""
    x0, x1 = load(weights, first), load(weights, first + LANES)
    x2, x3 = load(weights, first + 2 * LANES), load(weights, first + 3 * LANES)
    best0 = best1 = best2 = best3 = splat(-np.inf)
    index0 = index1 = index2 = index3 = splat_integer(0)
    for k in range(count):
        start, slope = load(lines, k * LINE), load(lines, k * LINE + LANES)
        label = splat_integer(candidates[k])
        value = muladd(x0, slope, start)
        better = value > best0
        best0, index0 = where(better, value, best0), where(better, label, index0)
        value = muladd(x1, slope, start)
        better = value > best1
        best1, index1 = where(better, value, best1), where(better, label, index1)
        value = muladd(x2, slope, start)
        better = value > best2
        best2, index2 = where(better, value, best2), where(better, label, index2)
        value = muladd(x3, slope, start)
        better = value > best3
        best3, index3 = where(better, value, best3), where(better, label, index3)
    at = group * QUAD
    store(tile, at, index0)
    store(tile, at + LANES, index1)
    store(tile, at + 2 * LANES, index2)
    store(tile, at + 3 * LANES, index3)
    store(heights, at, best0)
    store(heights, at + LANES, best1)
    store(heights, at + 2 * LANES, best2)
    store(heights, at + 3 * LANES, best3)


@part
@no_type_check
def confidence(heights, group, lines, count, weights, first):
    """Turn the highest scores of a group of four slots into their classes' probabilities."""
    x0, x1 = load(weights, first), load(weights, first + LANES)
    x2, x3 = load(weights, first + 2 * LANES), load(weights, first + 3 * LANES)
    at = group * QUAD
    best0, best1 = load(heights, at), load(heights, at + LANES)
    best2, best3 = load(heights, at + 2 * LANES), load(heights, at + 3 * LANES)
    sum0 = sum1 = sum2 = sum3 = splat(0.0)
    unit = splat(LOG2_E)
    for k in range(count):
        start, slope = load(lines, k * LINE), load(lines, k * LINE + LANES)
        sum0 = sum0 + exp2((muladd(x0, slope, start) - best0) * unit)
        sum1 = sum1 + exp2((muladd(x1, slope, start) - best1) * unit)
        sum2 = sum2 + exp2((muladd(x2, slope, start) - best2) * unit)
        sum3 = sum3 + exp2((muladd(x3, slope, start) - best3) * unit)
    one = splat(1.0)
    store(heights, at, one / sum0)
    store(heights, at + LANES, one / sum1)
    store(heights, at + 2 * LANES, one / sum2)
    store(heights, at + 3 * LANES, one / sum3)


@part
@no_type_check
def best_of_any(
    tile, heights, group, score_rows, upper, lower, classes, pitch, weight, weights, first
):
    """As `best_of_finite` and `confidence`, with scores that may be infinite or NaN; a NaN wins.

    In the order of operations of `ScoreMap.logits`, since infinities make that order visible.
    """
    y, unit = splat(weight), splat(LOG2_E)
    for slot in range(GROUP):
        x = load(weights, first + slot * LANES)
        best = splat(-np.inf)
        index = splat_integer(0)
        for c in range(classes):
            value = height_of(score_rows, upper, lower, c * pitch, x, y)
            # A NaN is better than any number, and nothing is better than a NaN.
            better = (value > best) | ((value != value) & (best >= splat(-np.inf)))
            best = where(better, value, best)
            index = where(better, splat_integer(c), index)
        together = splat(0.0)
        for c in range(classes):
            value = height_of(score_rows, upper, lower, c * pitch, x, y)
            together = together + exp2((value - best) * unit)
        at = group * QUAD + slot * LANES
        store(tile, at, index)
        store(heights, at, splat(1.0) / together)


@part
@no_type_check
def height_of(score_rows, upper, lower, at, x, y):
    """The scores of one class on one slot, as `ScoreMap.logits` computes them."""
    left = between(load(score_rows, upper + at), load(score_rows, lower + at), y)
    right = between(load(score_rows, upper + at + 1), load(score_rows, lower + at + 1), y)
    return between(left, right, x)


@part
@no_type_check
def between(start, end, weight):
    """torch.lerp."""
    far = end - (end - start) * (splat(1.0) - weight)
    return where(weight < splat(0.5), start + weight * (end - start), far)
