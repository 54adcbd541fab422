"""Overlays of characters: sizes, colours and letters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.inference.pictures.half_blocks import LETTERS, NO_LABEL, half_blocks
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace


def segmentation(mask: np.ndarray, labels: LabelSpace, value: int = 100) -> Segmentation:
    image = np.full((3, *mask.shape), value, np.uint8)
    return Segmentation(mask.astype(np.uint8), labels, image, np.ones(mask.shape, np.float32))


def test_each_half_is_the_blend_of_class_and_image(labels: LabelSpace) -> None:
    mask = np.zeros((8, 12), np.uint8)
    mask[1::2, 6:] = 3  # every second row, where the lower halves are
    mask[:, 0] = labels.ignore_index
    shown = half_blocks(segmentation(mask, labels), 12)
    assert shown.colours.shape == (4, 12, 2, 3)
    for column, upper, lower in ((3, 0, 0), (8, 0, 3)):
        for half, index in enumerate((upper, lower)):
            expected = 0.65 * np.asarray(labels.colours[index]) + 0.35 * 100
            assert np.abs(shown.colours[1, column, half] - expected).max() <= 1
    assert (shown.colours[:, 0] == 100).all()  # no label: the image itself
    assert (shown.letters[:, 0] == NO_LABEL).all()


def test_the_legend_lists_the_largest_class_first_and_marks_lie_in_their_regions(
    labels: LabelSpace,
) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 20:] = 2
    mask[10:30, 40:50] = 1
    shown = half_blocks(segmentation(mask, labels), 30)
    assert shown.legend == (("a", 2), ("b", 0), ("c", 1))
    assert [shown.letters[mark] for mark in shown.marks] == ["a", "b", "c"]


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50), columns=st.integers(1, 120))
def test_it_is_as_wide_as_asked_and_keeps_the_image_s_shape(
    height: int, width: int, columns: int
) -> None:
    mask = np.zeros((height, width), np.uint8)
    shown = half_blocks(segmentation(mask, LabelSpace.of(("one",))), columns)
    rows = shown.colours.shape[0]
    assert shown.colours.shape[1] == columns
    # A half is as wide as it is high.
    assert abs(2 * rows - columns * height / width) <= 1 or rows == 1


@pytest.mark.parametrize("classes", [70])
def test_more_classes_than_letters_are_still_listed(classes: int) -> None:
    mask = np.arange(classes, dtype=np.uint8)[None].repeat(4, axis=0)
    labels = LabelSpace.of(tuple(f"class {index}" for index in range(classes)))
    shown = half_blocks(segmentation(mask, labels), classes)
    assert len(shown.legend) == classes
    assert len(shown.marks) == len(LETTERS)
