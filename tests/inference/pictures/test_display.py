"""How images of all types are shown."""

from __future__ import annotations

import numpy as np
import pytest

from perpixel.inference.pictures.display import displayable


def test_8_bit_rgb_is_shown_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    np.testing.assert_array_equal(displayable(image), image.transpose(1, 2, 0))


@pytest.mark.parametrize(("bands", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (7, [0, 1, 2])])
def test_the_first_three_bands_are_shown_or_the_first_as_grey(bands, shown):
    image = np.random.default_rng(bands).integers(0, 256, (bands, 5, 7), np.uint8)
    np.testing.assert_array_equal(displayable(image), image[shown].transpose(1, 2, 0))


def test_floats_between_0_and_1_are_shown_as_they_are():
    image = np.random.default_rng(0).random((3, 5, 7), np.float32) * np.float32(0.5)
    expected = np.rint(image.transpose(1, 2, 0) * 255)
    np.testing.assert_array_equal(displayable(image), expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_what_uses_little_of_its_range_is_stretched_and_outliers_do_not_matter(dtype):
    rng = np.random.default_rng(1)
    image = rng.integers(1000, 1100, (1, 50, 70)).astype(dtype)
    image[0, 0, 0] = 60_000
    shown = displayable(image)
    assert shown[1:, 1:].min() == 0
    assert shown[1:, 1:].max() == 255
    assert 110 < np.median(shown) < 145


@pytest.mark.parametrize("value", [0, 40_000])
def test_an_image_of_one_value_can_be_shown(value):
    assert displayable(np.full((1, 3, 3), value, np.uint16)).shape == (3, 3, 3)
