"""The gradient of a depthwise convolution on a CPU, by its input and by its weights at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float32

from perpixel.kernels.cpu_arithmetic import kernel, part
from perpixel.kernels.cpu_threads import side_by_side
from perpixel.kernels.cpu_vector import LANES, load, muladd, splat, store

# A row of weights has so many places, the last of them zero where the kernel is narrower: then all
# that a row of pixels needs stays in registers.
TAPS = 5
# What a piece of work goes over again and again stays in a core's own cache: rows of the input and
# of the gradient by it.
CACHE = 512 * 1024
PIECES = 8  # at least, so that no thread waits long for another


def depthwise_gradient(
    by_output: Float32[torch.Tensor, "batch channels h w"],
    features: Float32[torch.Tensor, "batch channels H W"],
    weight: Float32[torch.Tensor, "channels 1 rows columns"],
    stride: int,
    before: tuple[int, int],
) -> tuple[
    Float32[torch.Tensor, "batch channels H W"], Float32[torch.Tensor, "channels 1 rows columns"]
]:
    """The gradients by features and weight. What is added up, and in which order, does not depend
    on the number of threads.

    Args:
        by_output: the gradient by the convolution's result.
        features, weight: what was convolved: channels in sixteens, kernels of up to five columns.
        stride: 1 or 2.
        before: rows and columns of zeros before the features.
    """
    images, channels, height, width = features.shape
    rows, columns = weight.shape[2:]
    blocks = channels // LANES
    by_features = torch.empty_like(features, memory_format=torch.channels_last)
    packed = np.zeros((blocks, rows, TAPS, LANES), np.float32)
    # (channels, 1, rows, columns) to (blocks, rows, columns, LANES)
    own = weight.detach().view(blocks, LANES, rows, columns).permute(0, 2, 3, 1)
    packed[:, :, :columns] = own.numpy()
    by_weight = np.zeros((images, *packed.shape), np.float32)
    shape = (channels, height, width, *by_output.shape[2:], rows, stride, *before)
    largest = max(1, CACHE // (2 * rows * width * LANES * 4))
    together = min(largest, max(1, blocks * images // PIECES))
    pieces = [
        (image, (first, min(first + together, blocks)))
        for image in range(images)
        for first in range(0, blocks, together)
    ]
    arrays = (
        _flat(by_features),
        by_weight.reshape(-1),
        _flat(by_output.detach().contiguous(memory_format=torch.channels_last)),
        _flat(features.detach().contiguous(memory_format=torch.channels_last)),
        packed.reshape(-1),
    )

    def work(indices: Iterator[int]) -> None:
        for index in indices:
            _of_image(*arrays, *pieces[index], shape)

    side_by_side(work, len(pieces))
    total = torch.from_numpy(by_weight.sum(axis=0)[:, :, :columns])
    return by_features, total.permute(0, 3, 1, 2).reshape(weight.shape)


def _flat(channels_last: torch.Tensor) -> np.ndarray:
    return channels_last.permute(0, 2, 3, 1).reshape(-1).numpy()


@kernel
@no_type_check
def _of_image(by_input, by_weight, by_output, features, weights, image, blocks, shape):
    """What some channels of one image add to the gradients.

    Every array is flat and float32; channels come last, and sixteen of them are a block.

    Args:
        by_input: (images, H, W, channels), written.
        by_weight: (images, channels / 16, kernel rows, TAPS, 16), added to.
        by_output: (images, h, w, channels).
        features: the convolution's input, (images, H, W, channels).
        weights: (channels / 16, kernel rows, TAPS, 16).
        image: which one.
        blocks: the first block of channels and the one after the last.
        shape: channels, H, W, h, w, kernel rows, stride, and the rows and columns of zeros before.
    """
    channels, height, width, out_height, out_width, rows, stride, above, left = shape
    row, all_blocks = width * channels, channels // LANES
    cleared = 0
    for y in range(out_height):
        top = y * stride - above
        bottom = min(top + rows, height)
        while cleared < bottom:
            _clear(by_input, (image * height + cleared) * row, width, channels, blocks)
            cleared += 1
        for block in range(blocks[0], blocks[1]):
            lane = block * LANES
            out_at = (image * out_height + y) * out_width * channels + lane
            for k in range(max(0, -top), min(rows, height - top)):
                at = (image * height + top + k) * row + lane
                tap = (block * rows + k) * TAPS * LANES
                own = image * all_blocks * rows * TAPS * LANES + tap
                _row(
                    by_input, by_weight, by_output, features, weights, at, own, out_at, tap,
                    channels, width, out_width, stride, left,
                )  # fmt: skip
    while cleared < height:
        _clear(by_input, (image * height + cleared) * row, width, channels, blocks)
        cleared += 1


@part
@no_type_check
def _row(
    by_input, by_weight, by_output, features, weights, at, own, out_at, tap,
    channels, width, out_width, stride, left,
):  # fmt: skip
    """A row of the output against a row of the input, for one block and one row of weights.

    A window of five pixels slides over the input's row: what they are, v, and what they get, d.
    """
    zero = splat(0.0)
    w0, w1 = load(weights, tap), load(weights, tap + LANES)
    w2, w3 = load(weights, tap + 2 * LANES), load(weights, tap + 3 * LANES)
    w4 = load(weights, tap + 4 * LANES)
    a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
    d0, d1, d2, d3, d4 = zero, zero, zero, zero, zero
    x = -left
    v0, v1 = _pixel(features, at, x, width, channels), _pixel(features, at, x + 1, width, channels)
    v2 = _pixel(features, at, x + 2, width, channels)
    v3 = _pixel(features, at, x + 3, width, channels)
    v4 = _pixel(features, at, x + 4, width, channels)
    for i in range(out_width):
        g = load(by_output, out_at + i * channels)
        a0, a1, a2 = muladd(g, v0, a0), muladd(g, v1, a1), muladd(g, v2, a2)
        a3, a4 = muladd(g, v3, a3), muladd(g, v4, a4)
        d0, d1, d2 = muladd(g, w0, d0), muladd(g, w1, d1), muladd(g, w2, d2)
        d3, d4 = muladd(g, w3, d3), muladd(g, w4, d4)
        _add(by_input, at, x, width, channels, d0)
        if stride == 2:
            _add(by_input, at, x + 1, width, channels, d1)
            d0, d1, d2, d3, d4 = d2, d3, d4, zero, zero
            v0, v1, v2 = v2, v3, v4
            v3 = _pixel(features, at, x + 5, width, channels)
            v4 = _pixel(features, at, x + 6, width, channels)
            x += 2
        else:
            d0, d1, d2, d3, d4 = d1, d2, d3, d4, zero
            v0, v1, v2, v3 = v1, v2, v3, v4
            v4 = _pixel(features, at, x + 5, width, channels)
            x += 1
    _add(by_input, at, x, width, channels, d0)
    _add(by_input, at, x + 1, width, channels, d1)
    _add(by_input, at, x + 2, width, channels, d2)
    _add(by_input, at, x + 3, width, channels, d3)
    _add(by_weight, own, 0, TAPS, LANES, a0)
    _add(by_weight, own, 1, TAPS, LANES, a1)
    _add(by_weight, own, 2, TAPS, LANES, a2)
    _add(by_weight, own, 3, TAPS, LANES, a3)
    _add(by_weight, own, 4, TAPS, LANES, a4)


@part
@no_type_check
def _pixel(features, at, x, width, channels):
    """A block of the pixel in column x; zeros beyond the row."""
    if 0 <= x < width:
        return load(features, at + x * channels)
    return splat(0.0)


@part
@no_type_check
def _add(target, at, x, width, channels, value):
    """Add to a block in column x; nothing beyond the row."""
    if 0 <= x < width:
        place = at + x * channels
        store(target, place, load(target, place) + value)


@part
@no_type_check
def _clear(target, at, width, channels, blocks):
    """Zeros in some blocks of a row."""
    for x in range(width):
        for block in range(blocks[0], blocks[1]):
            store(target, at + x * channels + block * LANES, splat(0.0))
