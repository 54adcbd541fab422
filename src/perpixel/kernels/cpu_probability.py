"""What depends on the pixels' probabilities and labels alone, on a CPU: sums, odds, derivatives.

A loss that knows the probabilities p only by sums over classes, as Dice does, has by p_c the
derivative u_c, which is one number for all pixels labelled c (`own`) and another for all that are
not (`other`). Its derivative by the score v_c of a pixel is then

    p_c (u_c - Σ_k p_k u_k).

So Dice takes two passes: one for the sums, from which `own` and `other` follow, one for the
gradient. Nothing is stored for a pixel in between. The gradient goes back to the scores' rows as in
`cpu_cross_entropy`.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from perpixel.kernels.cpu_arithmetic import LOG2_E
from perpixel.kernels.cpu_compiled import kernel, part
from perpixel.kernels.cpu_gradient_rows import clear, hand_on, scatter
from perpixel.kernels.cpu_labels import label_at
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_scores import SLACK, SURFACE, put, read_row, room
from perpixel.kernels.cpu_softmax import QUAD, group_from_bound, group_from_maximum, lay_surfaces
from perpixel.kernels.cpu_vector import LANES, load, muladd, splat, store, total, where

# As in `cpu_cross_entropy`: a sum of float32 over more rows would lose digits.
TALLEST = 32


class Wanted(NamedTuple):
    """What `probability_strips` leaves; an empty array is not wanted."""

    odds: np.ndarray  # float32, flat (B, H, W): p / (1 - p) of each labelled pixel's own class
    sums: np.ndarray  # float64, flat (pieces, 3, C): of p, of p where it is the label's, of labels
    gradient: np.ndarray  # float32, flat (B, C, h, w), added to
    edges: np.ndarray  # float32, flat (pieces, 2, C, w): see `cross_entropy_strips`


class Slopes(NamedTuple):
    """A loss's derivative by the probability of each class."""

    own: np.ndarray  # float32 (C): at pixels with that label
    other: np.ndarray  # float32 (C): at pixels with another


@kernel
@no_type_check
def probability_strips(
    wanted, slopes, scores, shape, labels, target, image, low, high, piece, rows, columns
):
    """What is wanted of strips low to high of one image.

    Args:
        wanted: a `Wanted`.
        slopes: a `Slopes`; read for the gradient.
        scores: flat (B, C, h, w); shape: its (C, h, w).
        labels: a `Labels`.
        target: a `Target` without smoothing.
    """
    classes, height, width = shape
    pitch = columns.pitch
    size = classes * pitch + SLACK
    with_gradient = wanted.gradient.size > 0
    with_sums = wanted.sums.size > 0
    score_rows = room(2 * size)
    gradient_rows = room(2 * size if with_gradient else 0)
    clear(gradient_rows, 0, gradient_rows.size)
    surfaces = room((classes + 1) * SURFACE)
    gathered = room((classes + 1) * SURFACE)
    powers = room(classes * QUAD)
    share, seats, odds = (
        room(columns.slots * LANES),
        room(columns.slots * LANES),
        room(columns.slots * LANES),
    )
    added = room(2 * classes * LANES)
    counts = np.zeros(classes, np.int64)
    plane = height * width
    base = image * classes * plane
    sums = piece * 3 * classes
    upper, lower = 0, size
    held = -1
    for strip in range(low, high):
        upper, lower = lower, upper
        first, second = rows.first[strip], rows.second[strip]
        if held != first:
            read_row(
                score_rows, upper, scores, base + first * width, plane, classes, columns, LOG2_E
            )
        read_row(score_rows, lower, scores, base + second * width, plane, classes, columns, LOG2_E)
        held = second
        for top in range(rows.start[strip], rows.start[strip + 1], TALLEST):
            bottom = min(top + TALLEST, rows.start[strip + 1])
            for block in range(columns.groups.size):
                exact = lay_surfaces(
                    surfaces, gathered, score_rows, upper, lower, classes, pitch, block, target
                )
                clear(added, 0, added.size)
                seen = False
                for y in range(top, bottom):
                    if not seat(share, seats, counts, labels, image, y, block, columns):
                        continue
                    seen = True
                    weight = rows.weight[y]
                    for group in range(columns.groups[block]):
                        if exact:
                            group_from_maximum(
                                powers, share, group, surfaces, classes, weight, columns, block
                            )
                        else:
                            group_from_bound(
                                powers, share, group, surfaces, classes, weight, columns, block
                            )
                        if wanted.odds.size > 0:
                            weigh_odds(odds, powers, seats, group, classes)
                        if with_sums:
                            add_up(added, powers, share, seats, group, classes)
                        if with_gradient:
                            gather_slopes(
                                gathered,
                                powers,
                                share,
                                seats,
                                group,
                                classes,
                                slopes,
                                weight,
                                columns,
                                block,
                            )
                    if wanted.odds.size > 0:
                        write_odds(wanted.odds, odds, seats, labels, image, y, block, columns)
                if seen and with_sums:
                    for k in range(2 * classes):
                        wanted.sums[sums + k] += total(load(added, k * LANES))
                if seen and with_gradient:
                    scatter(gradient_rows, upper, lower, gathered, classes, pitch, block)
        if with_gradient:
            hand_on(
                wanted.gradient,
                wanted.edges,
                gradient_rows,
                upper,
                lower,
                size,
                shape,
                image,
                strip,
                low,
                high,
                piece,
                rows,
                columns,
            )
    if with_sums:
        for k in range(classes):
            wanted.sums[sums + 2 * classes + k] = counts[k]


@part
@no_type_check
def seat(share, seats, counts, labels, image, y, block, columns):
    """Each label of a block's row in its pixel's place, and 1 beside it; -1 and 0 where none is.

    Counts the labels of each class. Returns whether there is any.
    """
    zero, nobody = splat(0.0), splat(-1.0)
    for slot in range(columns.groups[block] * GROUP):
        store(share, slot * LANES, zero)
        store(seats, slot * LANES, nobody)
    seen = False
    row = (image * labels.height + y) * labels.width
    for x in range(columns.start[block], columns.start[block + 1]):
        label = label_at(labels, row + x)
        if label == labels.ignore_index:
            continue
        if label < 0 or label >= counts.size:
            labels.wrong[image] = label
            continue
        seen = True
        counts[label] += 1
        share[columns.place[x]] = 1.0
        seats[columns.place[x]] = label
    return seen


@part
@no_type_check
def weigh_odds(odds, powers, seats, group, classes):
    """The power of each pixel's own class over the sum of the others'.

    Unlike the probability itself it keeps its digits at both ends.
    """
    zero = splat(0.0)
    for slot in range(GROUP):
        seated = load(seats, group * QUAD + slot * LANES)
        own, others = zero, zero
        for k in range(classes):
            power = load(powers, k * QUAD + slot * LANES)
            different = seated != splat(k)
            own = own + where(different, zero, power)
            others = others + where(different, power, zero)
        store(odds, group * QUAD + slot * LANES, own / others)


@part
@no_type_check
def write_odds(target, odds, seats, labels, image, y, block, columns):
    """The odds of a block's row into the pixels' order; others than labelled pixels stay."""
    row = (image * labels.height + y) * labels.width
    for x in range(columns.start[block], columns.start[block + 1]):
        place = columns.place[x]
        if seats[place] >= 0.0:
            target[row + x] = odds[place]


@part
@no_type_check
def add_up(added, powers, share, seats, group, classes):
    """Add a group's probabilities, all and the labels' own, to each class's sums."""
    at = group * QUAD
    zero = splat(0.0)
    share0, share1 = load(share, at), load(share, at + LANES)
    share2, share3 = load(share, at + 2 * LANES), load(share, at + 3 * LANES)
    seat0, seat1 = load(seats, at), load(seats, at + LANES)
    seat2, seat3 = load(seats, at + 2 * LANES), load(seats, at + 3 * LANES)
    for k in range(classes):
        at, label = k * QUAD, splat(k)
        part0, part1 = share0 * load(powers, at), share1 * load(powers, at + LANES)
        part2 = share2 * load(powers, at + 2 * LANES)
        part3 = share3 * load(powers, at + 3 * LANES)
        own = (where(seat0 != label, zero, part0) + where(seat1 != label, zero, part1)) + (
            where(seat2 != label, zero, part2) + where(seat3 != label, zero, part3)
        )
        at = k * LANES
        store(added, at, load(added, at) + ((part0 + part1) + (part2 + part3)))
        at = (classes + k) * LANES
        store(added, at, load(added, at) + own)


@part
@no_type_check
def gather_slopes(gathered, powers, share, seats, group, classes, slopes, weight, columns, block):
    """Add a group's derivatives of the loss to those of the surfaces' a, b, c and d."""
    first = (block * columns.slots + group * GROUP) * LANES
    x0, x1 = load(columns.weight, first), load(columns.weight, first + LANES)
    x2, x3 = load(columns.weight, first + 2 * LANES), load(columns.weight, first + 3 * LANES)
    at = group * QUAD
    share0, share1 = load(share, at), load(share, at + LANES)
    share2, share3 = load(share, at + 2 * LANES), load(share, at + 3 * LANES)
    seat0, seat1 = load(seats, at), load(seats, at + LANES)
    seat2, seat3 = load(seats, at + 2 * LANES), load(seats, at + 3 * LANES)
    mean0 = mean1 = mean2 = mean3 = splat(0.0)
    for k in range(classes):
        at, label = k * QUAD, splat(k)
        own, other = splat(slopes.own[k]), splat(slopes.other[k])
        mean0 = muladd(where(seat0 != label, other, own), load(powers, at), mean0)
        mean1 = muladd(where(seat1 != label, other, own), load(powers, at + LANES), mean1)
        mean2 = muladd(where(seat2 != label, other, own), load(powers, at + 2 * LANES), mean2)
        mean3 = muladd(where(seat3 != label, other, own), load(powers, at + 3 * LANES), mean3)
    mean0, mean1, mean2, mean3 = mean0 * share0, mean1 * share1, mean2 * share2, mean3 * share3
    y = splat(weight)
    for k in range(classes):
        at, label = k * QUAD, splat(k)
        own, other = splat(slopes.own[k]), splat(slopes.other[k])
        part0 = share0 * load(powers, at) * (where(seat0 != label, other, own) - mean0)
        part1 = share1 * load(powers, at + LANES) * (where(seat1 != label, other, own) - mean1)
        part2 = share2 * load(powers, at + 2 * LANES) * (where(seat2 != label, other, own) - mean2)
        part3 = share3 * load(powers, at + 3 * LANES) * (where(seat3 != label, other, own) - mean3)
        start = (part0 + part1) + (part2 + part3)
        slope = muladd(x0, part0, x1 * part1) + muladd(x2, part2, x3 * part3)
        at = k * SURFACE
        put(
            gathered,
            k,
            load(gathered, at) + start,
            load(gathered, at + LANES) + slope,
            muladd(y, start, load(gathered, at + 2 * LANES)),
            muladd(y, slope, load(gathered, at + 3 * LANES)),
        )
