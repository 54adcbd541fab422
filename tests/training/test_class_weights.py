"""Class weights against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from perpixel.training.class_weights import effective_number, inverse_log, weights_by_class

PIXELS = np.array([900_000, 90_000, 9_000, 1_000])


def test_inverse_log_is_enet_s() -> None:
    right = 1 / np.log(1.02 + PIXELS / PIXELS.sum())
    np.testing.assert_allclose(inverse_log(PIXELS), right)


def test_the_effective_number_is_the_paper_s_sum() -> None:
    """1 + β + … + β^(n-1), which (1 - β^n) / (1 - β) is."""
    pixels = np.array([40, 9, 1])
    beta = 1 - 3 / 50
    effective = np.array([sum(beta**k for k in range(n)) for n in pixels])
    weights = effective_number(pixels)
    np.testing.assert_allclose(weights * effective, weights[0] * effective[0])
    assert weights.mean() == pytest.approx(1)


def test_rare_classes_weigh_in_inverse_proportion_and_frequent_ones_level_off() -> None:
    weights = effective_number(PIXELS)
    assert weights[3] / weights[2] == pytest.approx(9, rel=0.05)
    assert 1 < weights[1] / weights[0] < 4


def test_a_class_without_a_pixel_weighs_nothing() -> None:
    weights = effective_number(np.array([100, 0, 300]))
    assert weights[1] == 0
    assert weights[[0, 2]].mean() == pytest.approx(1)
    assert (effective_number(np.zeros(2, np.int64)) == 1).all()


def test_none_is_none() -> None:
    assert weights_by_class("none", PIXELS) is None
    np.testing.assert_array_equal(weights_by_class("inverse-log", PIXELS), inverse_log(PIXELS))
