"""Parts of the CPU kernels: the gradient's way back from the surfaces to the scores."""

from __future__ import annotations

from typing import no_type_check

from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_vector import LANES, load, splat, store


@part
@no_type_check
def scatter(gradient_rows, upper, lower, gathered, classes, pitch, block):
    """Add the derivatives by a block's a, b, c, d to those by its two rows of scores.

    The reverse of `cpu_scores.surface`.
    """
    for k in range(classes):
        from_ = k * 4 * LANES
        a, b = load(gathered, from_), load(gathered, from_ + LANES)
        c, d = load(gathered, from_ + 2 * LANES), load(gathered, from_ + 3 * LANES)
        right = b - d
        at = k * pitch + block * LANES
        store(gradient_rows, upper + at, load(gradient_rows, upper + at) + ((a - c) - right))
        at += 1
        store(gradient_rows, upper + at, load(gradient_rows, upper + at) + right)
        at -= 1
        store(gradient_rows, lower + at, load(gradient_rows, lower + at) + (c - d))
        at += 1
        store(gradient_rows, lower + at, load(gradient_rows, lower + at) + d)


@part
@no_type_check
def flush(target, at, plane, gradient_rows, source, classes, columns):
    """Add an extended row of derivatives to target[at:], a class's row every `plane`.

    The reverse of `cpu_scores.read_row`: what fell to the copies goes to the score they copy.
    """
    for c in range(classes):
        to, from_ = at + c * plane, source + c * columns.pitch
        for e in range(columns.lead):
            target[to] += gradient_rows[from_ + e]
        to += columns.begin
        from_ += columns.lead
        done = 0
        while done + LANES <= columns.length:
            together = load(target, to + done) + load(gradient_rows, from_ + done)
            store(target, to + done, together)
            done += LANES
        for i in range(done, columns.length):
            target[to + i] += gradient_rows[from_ + i]
        for i in range(columns.length, columns.pitch - columns.lead):
            target[to + columns.length - 1] += gradient_rows[from_ + i]


@part
@no_type_check
def hand_on(
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
):
    """After a strip: pass on the rows of derivatives to which nothing more will be added.

    A row that another piece of work has a share in goes to `edges`; see `cross_entropy_strips`.
    """
    classes, height, width = shape
    plane = height * width
    base = image * classes * plane
    first, second = rows.first[strip], rows.second[strip]
    if strip == low and low > 0:
        at = piece * 2 * classes * width
        flush(edges, at, width, gradient_rows, upper, classes, columns)
    else:
        flush(gradient, base + first * width, plane, gradient_rows, upper, classes, columns)
    clear(gradient_rows, upper, size)
    if strip + 1 == high and high < rows.first.size:
        at = (piece * 2 + 1) * classes * width
        flush(edges, at, width, gradient_rows, lower, classes, columns)
    elif strip + 1 == high or rows.first[strip + 1] != second:
        flush(gradient, base + second * width, plane, gradient_rows, lower, classes, columns)
        clear(gradient_rows, lower, size)


@part
@no_type_check
def clear(gradient_rows, start, size):
    """Set a row of derivatives to 0."""
    zero = splat(0.0)
    for i in range(start, start + size, LANES):
        store(gradient_rows, i, zero)
