"""Segmentation: areas, doubt, and the file that is written."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from perpixel.data.decode import read_mask
from perpixel.errors import OutputError
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

LABELS = LabelSpace.of(["sky", "sea", "sand"])


def segmentation(mask, confidence=None, labels=LABELS):
    mask = np.asarray(mask)
    if confidence is None:
        confidence = np.ones(mask.shape)
    image = np.zeros((3, *mask.shape), np.uint8)
    return Segmentation(mask, labels, image, np.asarray(confidence, np.float32))


def test_areas_are_shares_of_the_labelled_pixels_by_name():
    one = segmentation(np.array([[0, 0, 0, 2], [255, 255, 255, 255]], np.uint8))
    assert one.areas() == {"sky": 0.75, "sea": 0.0, "sand": 0.25}


@given(arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 255])))
def test_areas_add_up_to_1_unless_nothing_is_labelled(mask):
    total = sum(segmentation(mask).areas().values())
    assert total == pytest.approx(0.0 if (mask == 255).all() else 1.0)


def test_less_sure_pixels_become_unlabelled_and_the_rest_stay():
    mask = np.array([[0, 1, 2]], np.uint8)
    one = segmentation(mask, [[0.2, 0.5, 0.9]])
    doubtful = one.below(0.5)
    assert doubtful.mask.tolist() == [[255, 1, 2]]
    assert one.mask.tolist() == [[0, 1, 2]]
    assert doubtful.areas() == {"sky": 0.0, "sea": 0.5, "sand": 0.5}


def test_a_wide_ignore_index_fits_into_the_mask():
    labels = LabelSpace.of(["a", "b"], ignore_index=1000)
    doubtful = segmentation(np.zeros((1, 2), np.uint8), [[0.1, 0.9]], labels).below(0.5)
    assert doubtful.mask.tolist() == [[1000, 0]]


def test_numpy_takes_a_segmentation_for_its_mask():
    one = segmentation(np.array([[0, 1]], np.uint8))
    assert np.shares_memory(np.asarray(one), one.mask)
    assert not np.shares_memory(np.array(one), one.mask)
    assert np.asarray(one, dtype=np.int64).dtype == np.int64
    assert (np.asarray(one) == one.mask).all()
    with pytest.raises(ValueError, match="copy"):
        np.asarray(one, dtype=np.int64, copy=False)


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, 2, 255]),
    )
)
def test_a_saved_mask_is_read_back_as_it_was(tmp_path_factory, mask):
    path = tmp_path_factory.getbasetemp() / "mask.png"
    segmentation(mask).save(path)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_a_saved_mask_shows_the_classes_colours(tmp_path):
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    segmentation(mask).save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as file:
        assert file.mode == "P"
        shown = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(shown, LABELS.colourise(mask))


def test_more_than_256_classes_are_saved_as_16_bit_grey(tmp_path):
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    mask = np.array([[0, 299, 65_535]], np.uint16)
    segmentation(mask, labels=labels).save(str(tmp_path / "mask.png"))
    stored = read_mask(tmp_path / "mask.png")
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, mask)


def test_the_kind_of_file_depends_on_the_classes_and_not_on_the_values(tmp_path):
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    segmentation(np.array([[0, 3]], np.uint16), labels=labels).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").dtype == np.uint16


def test_a_mask_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="cannot be written"):
        segmentation(np.zeros((2, 2), np.uint8)).save(tmp_path / "missing" / "mask.png")
    (tmp_path / "mask.png").write_bytes(b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        segmentation(np.zeros((2, 2), np.uint8)).save(tmp_path / "mask.png")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]
    assert (tmp_path / "mask.png").read_bytes() == b"before"
