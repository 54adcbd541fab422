"""Boundary bands against their definition, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perpixel.labels import LabelSpace
from perpixel.metrics import BoundaryBands, Confusion
from perpixel.metrics.boundary import WIDTHS

LABELS = LabelSpace.of(["a", "b", "c"], ignore_index=9)


def blobs(rng: np.random.Generator, size: tuple[int, int], values: list[int]) -> np.ndarray:
    """A mask of rectangles of several sizes."""
    mask = np.full(size, values[0], np.uint8)
    for _ in range(6):
        top, left = (int(rng.integers(0, side)) for side in size)
        high, wide = rng.integers(1, 15, 2)
        mask[top : top + high, left : left + wide] = rng.choice(values)
    return mask


def in_band(mask: np.ndarray, width: int) -> np.ndarray:
    """The definition: within width − 1 of a pixel with a neighbour of another value."""
    height, columns = mask.shape
    at_edge = [
        (y, x)
        for y in range(height)
        for x in range(columns)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= v < height and 0 <= u < columns and mask[v, u] != mask[y, x]
    ]
    near = np.zeros(mask.shape, bool)
    for y in range(height):
        for x in range(columns):
            near[y, x] = any(
                (y - v) ** 2 + (x - u) ** 2 <= (width - 1) ** 2 for v, u in set(at_edge)
            )
    return near


@pytest.mark.parametrize("size", [(23, 31), (1, 17), (19, 2)])
def test_the_bands_hold_the_pixels_that_their_definition_says(size):
    rng = np.random.default_rng(size)
    mask, guess = blobs(rng, size, [0, 1, 2, 9]), blobs(rng, size, [0, 1, 2])
    bands = BoundaryBands(LABELS)
    bands.update(guess, mask)
    for width, scores in bands.scores().items():
        expected = Confusion(LABELS)
        expected.update(guess, np.where(in_band(mask, width), mask, 9))
        assert scores.counts.tolist() == expected.counts.tolist()


def test_an_edge_of_4_columns_each_side_has_a_hand_counted_band():
    mask = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 5, axis=0).astype(np.uint8)
    guess = np.zeros_like(mask)
    bands = BoundaryBands(LABELS)
    bands.update(guess, mask)
    scores = bands.scores()
    assert [int(scores[width].counts.sum()) for width in WIDTHS] == [10, 30, 40, 40]
    assert scores[1].iou[:2].tolist() == [0.5, 0.0]


def test_a_void_outline_is_an_edge_and_is_not_counted():
    mask = np.array([[0, 0, 0, 9, 1, 1, 1]], np.uint8)
    bands = BoundaryBands(LABELS)
    bands.update(mask.clip(max=2), mask)
    assert bands.scores()[1].counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_mask_without_an_edge_has_no_band_and_no_score():
    bands = BoundaryBands(LABELS)
    bands.update(np.ones((7, 5), np.uint8), np.ones((7, 5), np.uint8))
    assert bands.counts.sum() == 0
    assert all(math.isnan(scores.mean_iou) for scores in bands.scores().values())


def test_image_by_image_adds_up():
    rng = np.random.default_rng(3)
    together, parts = BoundaryBands(LABELS), BoundaryBands(LABELS)
    for size in ((21, 13), (8, 40)):
        mask, guess = blobs(rng, size, [0, 1, 2, 9]), blobs(rng, size, [0, 1, 2])
        together.update(guess, mask)
        one = BoundaryBands(LABELS)
        one.update(guess, mask)
        parts.add(one)
    assert together.counts.sum() > 0
    assert together.counts.tolist() == parts.counts.tolist()
    with pytest.raises(ValueError, match="other classes"):
        parts.add(BoundaryBands(LabelSpace.of(["x", "y", "z"], ignore_index=9)))


def test_a_value_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="the prediction has"):
        BoundaryBands(LABELS).update(np.full((2, 2), 3, np.uint8), np.zeros((2, 2), np.uint8))
