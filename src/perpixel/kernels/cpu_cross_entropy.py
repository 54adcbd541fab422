"""Cross-entropy of the upsampled scores and its gradient in one pass, on a CPU.

With v_c the scores at a pixel in units of log2 e, s = Σ 2^(v_c - M) and M a bound on v, the loss of
a pixel with label t is

    log s - v_t + M,    and its derivative by v_c is    2^(v_c - M) / s - [c = t].

Between four coarse scores v_c = a + y·c + x·(b + y·d) is a surface whose four numbers are linear in
the scores. So the derivative is gathered by a, b, c and d over all pixels of a block of sixteen
such cells, and goes to the scores' rows once for each block. No step adds to memory that another
thread adds to, and each sum has one order: the same input gives the same bits.
"""

from __future__ import annotations

from typing import no_type_check

from perpixel.kernels.cpu_arithmetic import LOG2_E
from perpixel.kernels.cpu_compiled import kernel, part
from perpixel.kernels.cpu_gradient_rows import clear, hand_on, scatter
from perpixel.kernels.cpu_labels import aim, smooth, weigh
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_scores import SLACK, SURFACE, read_row, room
from perpixel.kernels.cpu_softmax import QUAD, group_from_bound, group_from_maximum, lay_surfaces
from perpixel.kernels.cpu_vector import LANES, load, muladd, splat, store

# A sum of float32 over more rows than this would lose digits: taller strips are cut.
TALLEST = 32


@kernel
@no_type_check
def cross_entropy_strips(
    gradient,
    edges,
    losses,
    weights,
    scores,
    shape,
    labels,
    target,
    image,
    low,
    high,
    piece,
    rows,
    columns,
):
    """Loss and gradient of strips low to high of one image.

    Args:
        gradient: flat (B, C, h, w), added to; empty where no gradient is wanted.
        edges: flat (pieces, 2, C, w): the first and the last score row's share of the gradient,
            where these rows have a share in another piece too.
        losses: float64 (B, strips): the sum over each strip, in units of log 2.
        weights: float64 (B, strips): the sum of the pixels' class weights.
        scores: flat (B, C, h, w); shape: its (C, h, w).
        labels: a `Labels`.
        target: a `Target`.
    """
    classes, height, width = shape
    pitch = columns.pitch
    size = classes * pitch + SLACK
    with_gradient = gradient.size > 0
    score_rows = room(2 * size)
    gradient_rows = room(2 * size if with_gradient else 0)
    clear(gradient_rows, 0, gradient_rows.size)
    surfaces = room((classes + 1) * SURFACE)
    gathered = room((classes + 1) * SURFACE)
    powers = room(classes * QUAD)
    importance = room(columns.slots * LANES)
    plane = height * width
    base = image * classes * plane
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
        loss, weight = 0.0, 0.0
        for top in range(rows.start[strip], rows.start[strip + 1], TALLEST):
            bottom = min(top + TALLEST, rows.start[strip + 1])
            for block in range(columns.groups.size):
                exact = lay_surfaces(
                    surfaces, gathered, score_rows, upper, lower, classes, pitch, block, target
                )
                seen = False
                for y in range(top, bottom):
                    if not weigh(importance, labels, target, image, y, block, columns):
                        continue
                    seen = True
                    for group in range(columns.groups[block]):
                        if exact:
                            loss += group_from_maximum(
                                powers,
                                importance,
                                group,
                                surfaces,
                                classes,
                                rows.weight[y],
                                columns,
                                block,
                            )
                        else:
                            loss += group_from_bound(
                                powers,
                                importance,
                                group,
                                surfaces,
                                classes,
                                rows.weight[y],
                                columns,
                                block,
                            )
                        if with_gradient:
                            gather(
                                gathered,
                                powers,
                                importance,
                                group,
                                classes,
                                rows.weight[y],
                                columns,
                                block,
                            )
                if not seen:
                    continue
                for y in range(top, bottom):
                    more_loss, more_weight = aim(
                        gathered, surfaces, labels, target, image, y, block, rows.weight[y], columns
                    )
                    loss += more_loss
                    weight += more_weight
                if with_gradient:
                    smooth(gathered, classes, target)
                    scatter(gradient_rows, upper, lower, gathered, classes, pitch, block)
        losses[image, strip] = loss
        weights[image, strip] = weight
        if with_gradient:
            hand_on(
                gradient,
                edges,
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


@part
@no_type_check
def gather(gathered, powers, importance, group, classes, weight, columns, block):
    """Add a group's derivatives of log s to those of the surfaces' a, b, c and d."""
    first = (block * columns.slots + group * GROUP) * LANES
    x0, x1 = load(columns.weight, first), load(columns.weight, first + LANES)
    x2, x3 = load(columns.weight, first + 2 * LANES), load(columns.weight, first + 3 * LANES)
    at = group * QUAD
    share0, share1 = load(importance, at), load(importance, at + LANES)
    share2, share3 = load(importance, at + 2 * LANES), load(importance, at + 3 * LANES)
    y = splat(weight)
    for k in range(classes):
        at = k * SURFACE
        part0, part1 = share0 * load(powers, at), share1 * load(powers, at + LANES)
        part2 = share2 * load(powers, at + 2 * LANES)
        part3 = share3 * load(powers, at + 3 * LANES)
        start = (part0 + part1) + (part2 + part3)
        slope = muladd(x0, part0, x1 * part1) + muladd(x2, part2, x3 * part3)
        store(gathered, at, load(gathered, at) + start)
        store(gathered, at + LANES, load(gathered, at + LANES) + slope)
        store(gathered, at + 2 * LANES, muladd(y, start, load(gathered, at + 2 * LANES)))
        store(gathered, at + 3 * LANES, muladd(y, slope, load(gathered, at + 3 * LANES)))
