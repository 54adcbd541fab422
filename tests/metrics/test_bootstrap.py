"""The paired bootstrap against one that resamples image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perpixel.labels import LabelSpace
from perpixel.metrics import Scores
from perpixel.metrics.bootstrap import RESAMPLES, class_totals, paired_bootstrap

LABELS = LabelSpace.of(["a", "b", "c", "never"])


def drawn(seed: int, images: int, hits: int) -> np.ndarray:
    """Confusion counts of images; class "never" does not occur."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 30, (images, 4, 4))
    counts[:, range(4), range(4)] += rng.integers(0, hits, (images, 4))
    # In some images a class is neither there nor predicted.
    counts[::3, 2], counts[::3, :, 2] = 0, 0
    counts[:, 3], counts[:, :, 3] = 0, 0
    return counts


def totals(counts: np.ndarray) -> np.ndarray:
    return np.stack([class_totals(one) for one in counts])


def test_the_difference_is_that_of_the_scores():
    first, second = drawn(0, 11, 60), drawn(1, 11, 90)
    interval = paired_bootstrap(totals(first), totals(second))
    scores = [Scores(LABELS, counts.sum(axis=0)).mean_iou for counts in (first, second)]
    assert interval.difference == pytest.approx(scores[1] - scores[0])
    assert interval.low < interval.difference < interval.high


def test_the_interval_is_that_of_resampling_image_by_image():
    first, second = drawn(2, 9, 60), drawn(3, 9, 70)
    interval = paired_bootstrap(totals(first), totals(second), seed=5)
    rng = np.random.default_rng(123)
    differences = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, 9, 9)
        one, other = (
            Scores(LABELS, counts[chosen].sum(axis=0)).mean_iou for counts in (first, second)
        )
        differences.append(other - one)
    low, high = np.quantile(differences, [0.025, 0.975])
    width = high - low
    assert abs(interval.low - low) < 0.08 * width
    assert abs(interval.high - high) < 0.08 * width


def test_a_model_against_itself_differs_by_exactly_nothing():
    counts = totals(drawn(4, 7, 50))
    interval = paired_bootstrap(counts, counts)
    assert (interval.difference, interval.low, interval.high) == (0, 0, 0)
    assert not interval.excludes_zero


def test_the_same_seed_draws_the_same_images():
    first, second = totals(drawn(5, 8, 50)), totals(drawn(6, 8, 50))
    assert paired_bootstrap(first, second, seed=1) == paired_bootstrap(first, second, seed=1)
    assert paired_bootstrap(first, second, seed=1) != paired_bootstrap(first, second, seed=2)


def test_a_model_that_is_better_on_every_image_is_better_beyond_chance():
    worse = drawn(7, 12, 40)
    better = worse.copy()
    better[:, range(3), range(3)] += 200
    interval = paired_bootstrap(totals(worse), totals(better))
    assert interval.low > 0
    assert interval.excludes_zero


def test_one_image_says_nothing_of_others():
    first, second = totals(drawn(8, 1, 50)), totals(drawn(9, 1, 50))
    interval = paired_bootstrap(first, second)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert not interval.excludes_zero
