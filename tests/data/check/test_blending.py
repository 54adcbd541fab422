from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.check.right import drawn
from perpixel.data.check.blending import Blending, near_edges, seams


def regions(seed: int, values: int) -> np.ndarray:
    """Large regions with slanted borders."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((90, 121), np.uint8)
    for _ in range(12):
        corners = rng.integers(0, 120, (3, 2)).astype(np.int32)
        cv2.fillPoly(mask, [corners], int(rng.integers(values)))
    return mask


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("values", [3, 8, 30])
def test_a_smooth_resize_is_seen_and_nearest_neighbour_is_not(seed: int, values: int) -> None:
    mask = regions(seed, values)
    nearest = cv2.resize(mask, (200, 150), interpolation=cv2.INTER_NEAREST)
    smooth = cv2.resize(mask, (200, 150), interpolation=cv2.INTER_LINEAR)
    assert not seams(mask, 255).blended
    assert not seams(nearest, 255).blended
    assert seams(smooth, 255).blended == (values > 2)


def test_void_outlines_are_no_seams() -> None:
    mask = regions(1, 5)
    edges = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    mask[edges] = 255
    assert not seams(mask, 255).blended


def test_seams_are_counted_along_rows_and_columns() -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[:, 3:] = 5
    mask[:, 2] = 2
    found = seams(mask, 255)
    # Each row goes 0, 2, 5; none jumps from one area into the next.
    assert (found.stepped, found.sharp) == (5, 0)
    assert seams(mask.T, 255) == found
    mask[:, 2] = 0
    assert seams(mask, 255) == seams(mask.T, 255) == Blending(stepped=0, sharp=5)


def test_strange_pixels_at_borders_are_told_from_strange_regions() -> None:
    mask = drawn(0)
    mask[:] = 0
    mask[:, 30:] = 1
    at_border = np.zeros(mask.shape, bool)
    at_border[:, 29:31] = True
    assert near_edges(mask, at_border) == int(at_border.sum())
    region = np.zeros(mask.shape, bool)
    region[5:15, 2:12] = True
    assert near_edges(mask, region) == 0
    assert near_edges(mask, np.ones(mask.shape, bool)) is None
