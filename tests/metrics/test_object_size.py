"""Objects against a flood fill, and sizes worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metrics.test_boundary import LABELS, blobs
from perpixel.labels import LabelSpace
from perpixel.metrics import ObjectSizes
from perpixel.metrics.object_size import BUCKETS, LIMITS


def regions(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """The connected regions of one value, touching by a side or a corner: a flood fill."""
    height, width = mask.shape
    left = {(y, x) for y in range(height) for x in range(width)}
    found = []
    while left:
        front = [left.pop()]
        region = list(front)
        while front:
            y, x = front.pop()
            for v in range(y - 1, y + 2):
                for u in range(x - 1, x + 2):
                    if (v, u) in left and mask[v, u] == mask[y, x]:
                        left.remove((v, u))
                        front.append((v, u))
                        region.append((v, u))
        found.append(region)
    return found


@pytest.mark.parametrize("size", [(37, 53), (1, 29), (41, 3)])
def test_objects_are_those_of_a_flood_fill(size):
    rng = np.random.default_rng(size)
    mask = blobs(rng, size, [0, 1, 2, 9])
    guess = np.where(rng.random(size) < 0.6, mask.clip(max=2), rng.integers(0, 3, size))
    guess = guess.astype(np.uint8)
    expected = np.zeros((4, 3, len(BUCKETS)), np.int64)
    for region in regions(mask):
        index = mask[region[0]]
        if index == 9:
            continue
        bucket = sum(len(region) >= limit**2 for limit in LIMITS)
        right = sum(int(guess[place] == index) for place in region)
        expected[:, index, bucket] += (1, 2 * right >= len(region), len(region), right)
    sizes = ObjectSizes(LABELS)
    sizes.update(guess, mask)
    found = np.stack([sizes.objects, sizes.found, sizes.pixels, sizes.hits])
    assert found.tolist() == expected.tolist()


def test_a_size_is_scored_as_worked_by_hand():
    mask = np.zeros((40, 40), np.uint8)
    mask[2:5, 2:5] = 1  # 9 pixels, none right
    mask[10:13, 10:13] = 1  # 9 pixels, 5 right
    mask[20:30, 20:30] = 2  # 100 pixels, 30 right
    guess = np.zeros_like(mask)
    guess[10:11, 10:13] = 1
    guess[11, 10:12] = 1
    guess[20:23, 20:30] = 2
    sizes = ObjectSizes(LABELS)
    sizes.update(guess, mask)
    small, middle, large = (BUCKETS.index(name) for name in ("< 4", "8–16", "32–64"))
    assert sizes.objects[:, [small, middle, large]].tolist() == [[0, 0, 1], [2, 0, 0], [0, 1, 0]]
    assert sizes.accuracy[1, small] == pytest.approx(5 / 18)
    assert sizes.accuracy[2, middle] == pytest.approx(0.3)
    assert sizes.mean_accuracy[small] == pytest.approx(5 / 18)
    assert sizes.found_share[[small, middle, large]].tolist() == [0.5, 0.0, 1.0]
    assert math.isnan(sizes.accuracy[0, small])
    empty = BUCKETS.index("16–32")
    assert math.isnan(sizes.mean_accuracy[empty])
    assert math.isnan(sizes.found_share[empty])


def test_the_mean_over_classes_leaves_out_classes_without_such_objects():
    mask = np.zeros((30, 30), np.uint8)
    mask[1:3, 1:3] = 1
    mask[10:12, 10:12] = 2
    guess = mask.copy()
    guess[10:12, 10] = 0
    sizes = ObjectSizes(LABELS)
    sizes.update(guess, mask)
    assert sizes.mean_accuracy[0] == pytest.approx((1 + 0.5) / 2)


def test_regions_of_the_ignore_index_are_no_objects():
    sizes = ObjectSizes(LABELS)
    sizes.update(np.zeros((6, 5), np.uint8), np.full((6, 5), 9, np.uint8))
    assert sizes.objects.sum() == 0


def test_image_by_image_adds_up():
    rng = np.random.default_rng(4)
    together, parts = ObjectSizes(LABELS), ObjectSizes(LABELS)
    for size in ((21, 13), (8, 40)):
        mask, guess = blobs(rng, size, [0, 1, 2, 9]), blobs(rng, size, [0, 1, 2])
        together.update(guess, mask)
        one = ObjectSizes(LABELS)
        one.update(guess, mask)
        parts.add(one)
    assert together.hits.sum() > 0
    assert together.found.tolist() == parts.found.tolist()
    assert together.hits.tolist() == parts.hits.tolist()
    with pytest.raises(ValueError, match="other classes"):
        parts.add(ObjectSizes(LabelSpace.of(["x", "y", "z"], ignore_index=9)))
