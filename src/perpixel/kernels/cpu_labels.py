"""Parts of the CPU cross-entropy: what the mask's labels add to it, pixel by pixel.

A label's own score is one of many, so this part is not worth vectors.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_scores import SURFACE
from perpixel.kernels.cpu_vector import LANES, load, muladd, splat, store


class Labels(NamedTuple):
    """A mask, as the kernel for cross-entropy reads it."""

    mask: np.ndarray  # uint8, flat: the bytes of (B, H, W) labels
    bytes: int  # of a label: 1, 2 or 8
    height: int
    width: int
    ignore_index: int
    wrong: np.ndarray  # int64 (B): where a label out of range is reported


class Target(NamedTuple):
    """What each class should get of a pixel's probability, and what that weighs."""

    class_weights: np.ndarray  # float32 (C)
    smoothing: float  # the share that goes to all classes alike
    everywhere: float  # smoothing times the mean class weight


@part
@no_type_check
def label_at(labels, index):
    """The label at a flat index of a mask of any of the three types, read from its bytes."""
    if labels.bytes == 1:
        return np.int64(labels.mask[index])
    if labels.bytes == 2:
        at = 2 * index
        return np.int64(labels.mask[at]) | (np.int64(labels.mask[at + 1]) << 8)
    label = np.int64(0)
    for i in range(8):
        label |= np.int64(labels.mask[8 * index + i]) << (8 * i)
    return label


@part
@no_type_check
def weigh(importance, labels, target, image, y, block, columns):
    """How much each pixel of a block's row counts: the factor of its log s. False if none does."""
    zero = splat(0.0)
    for slot in range(columns.groups[block] * GROUP):
        store(importance, slot * LANES, zero)
    seen = False
    row = (image * labels.height + y) * labels.width
    for x in range(columns.start[block], columns.start[block + 1]):
        label = label_at(labels, row + x)
        if label == labels.ignore_index:
            continue
        seen = True
        if label < 0 or label >= target.class_weights.size:
            labels.wrong[image] = label
            continue
        weight = (1.0 - target.smoothing) * target.class_weights[label] + target.everywhere
        importance[columns.place[x]] = weight
    return seen


@part
@no_type_check
def aim(gathered, surfaces, labels, target, image, y, block, down, columns):
    """The label's part of a block's row: its loss, the sum of its weights; and its derivatives."""
    loss, weights = 0.0, 0.0
    classes = target.class_weights.size
    row = (image * labels.height + y) * labels.width
    first = block * columns.slots * LANES
    for pixel in range(columns.start[block], columns.start[block + 1]):
        label = label_at(labels, row + pixel)
        if label == labels.ignore_index or label < 0 or label >= classes:
            continue
        place = columns.place[pixel]
        lane, x = place % LANES, columns.weight[first + place]
        weight = np.float32(target.class_weights[label])
        weights += weight
        pull = np.float32(1.0 - target.smoothing) * weight
        loss += aim_at(gathered, surfaces, label * SURFACE + lane, pull, x, down)
        if target.smoothing > 0.0:
            pull = np.float32(target.smoothing / classes)
            loss += aim_at(gathered, surfaces, classes * SURFACE + lane, pull, x, down)
    return loss, weights


@part
@no_type_check
def aim_at(gathered, surfaces, at, pull, x, y):
    """One pixel's part for one surface: `pull` times minus the score there."""
    start = surfaces[at] + y * surfaces[at + 2 * LANES]
    slope = surfaces[at + LANES] + y * surfaces[at + 3 * LANES]
    gathered[at] -= pull
    gathered[at + LANES] -= pull * x
    gathered[at + 2 * LANES] -= pull * y
    gathered[at + 3 * LANES] -= pull * x * y
    return -pull * np.float64(start + x * slope)


@part
@no_type_check
def smooth(gathered, classes, target):
    """Share the smoothed surface's derivatives out among the classes, by weight."""
    if target.smoothing > 0.0:
        shared = classes * SURFACE
        for k in range(classes):
            factor = splat(target.class_weights[k])
            for i in range(0, SURFACE, LANES):
                at = k * SURFACE + i
                store(gathered, at, muladd(factor, load(gathered, shared + i), load(gathered, at)))
