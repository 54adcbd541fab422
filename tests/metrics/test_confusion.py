"""Confusion counts exactly, and only what is labelled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion

LABELS = LabelSpace(
    names=("a", "b", "c"), colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)), ignore_index=7
)
masks = arrays(np.uint8, (5, 3), elements=st.sampled_from([0, 1, 2, 7]))
predictions = arrays(np.uint8, (5, 3), elements=st.integers(0, 2))


@given(predictions, masks)
def test_each_count_is_the_number_of_pixels_with_that_pair(prediction, mask):
    confusion = Confusion(LABELS)
    confusion.update(prediction, mask)
    for truth in range(3):
        for guess in range(3):
            expected = int(((mask == truth) & (prediction == guess)).sum())
            assert confusion.counts[truth, guess] == expected


@given(st.lists(st.tuples(predictions, masks), min_size=1, max_size=3))
def test_image_by_image_adds_up_to_all_at_once(images):
    one_by_one, at_once, from_counts = Confusion(LABELS), Confusion(LABELS), Confusion(LABELS)
    for prediction, mask in images:
        one_by_one.update(prediction, mask)
        single = Confusion(LABELS)
        single.update(prediction, mask)
        from_counts.add(single.counts)
    at_once.update(*(np.concatenate(parts) for parts in zip(*images, strict=True)))
    assert one_by_one.counts.tolist() == at_once.counts.tolist() == from_counts.counts.tolist()


def test_counts_stay_exact_where_floating_numbers_would_not():
    confusion = Confusion(LABELS)
    huge = np.zeros((3, 3), np.int64)
    huge[0, 0] = 2**53
    confusion.add(huge)
    confusion.update(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    assert confusion.counts[0, 0] == 2**53 + 1


def test_what_is_predicted_where_no_label_is_does_not_matter():
    confusion = Confusion(LABELS)
    confusion.update(np.full((2, 2), 200, np.uint8), np.full((2, 2), 7, np.uint8))
    assert confusion.counts.sum() == 0


def test_a_16_bit_mask_beside_an_8_bit_prediction_is_counted():
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    confusion = Confusion(labels)
    mask = np.array([[299, 65_535, 1]], np.uint16)
    confusion.update(np.array([[200, 1, 1]], np.uint8), mask)
    assert confusion.counts[299, 200] == 1
    assert confusion.counts[1, 1] == 1
    assert confusion.counts.sum() == 2


def test_the_counts_handed_out_are_a_copy():
    confusion = Confusion(LABELS)
    confusion.counts[:] = 5
    assert confusion.counts.sum() == 0


@pytest.mark.parametrize(
    ("prediction", "mask", "message"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8) + 3, "the mask has a value"),
        (np.zeros((2, 2), np.uint8) + 7, np.zeros((2, 2), np.uint8), "the prediction has"),
    ],
)
def test_a_value_that_is_no_class_is_not_counted_as_another(prediction, mask, message):
    with pytest.raises(ValueError, match=message):
        Confusion(LABELS).update(prediction, mask)


def test_counts_for_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match="expected"):
        Confusion(LABELS).add(np.zeros((2, 2), np.int64))
