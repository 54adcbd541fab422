"""The winning class and its probability against the reference in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.kernels import argmax, probabilities, reference, winner
from perpixel.score_map import ScoreMap

from .cases import in_float64, random_map


def assert_wins(score_map, mask):
    """`mask` holds the class of the highest score, or of one that is as high but for rounding."""
    logits = in_float64(score_map).logits().detach()
    chosen = logits.gather(1, mask.long().unsqueeze(1)).squeeze(1)
    rounding = 4 * torch.finfo(torch.float32).eps * score_map.scores.abs().max()
    assert (logits.amax(1) - chosen).max() <= rounding


@pytest.mark.parametrize("seed", range(200))
def test_winner_is_the_reference_s(seed):
    score_map = random_map(np.random.default_rng(seed))
    mask, probability = winner(score_map)
    assert_wins(score_map, mask)
    assert torch.equal(mask, argmax(score_map))
    right = reference.winner(in_float64(score_map))[1]
    torch.testing.assert_close(probability, right, rtol=2e-6, atol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.floats(-4, 4))
def test_pruning_changes_nothing_however_far_apart_the_scores(seed, exponent):
    rng = np.random.default_rng(seed)
    score_map = random_map(rng, classes=12)
    level = torch.from_numpy(rng.normal(size=(12, 1, 1))).float() * 10**exponent
    score_map = ScoreMap(
        score_map.scores + level, score_map.stride, score_map.offset, score_map.size
    )
    mask, probability = winner(score_map)
    assert_wins(score_map, mask)
    right = reference.winner(in_float64(score_map))[1]
    torch.testing.assert_close(probability, right, rtol=3e-5 + 2e-6 * 10**exponent, atol=0)


def test_the_first_of_equal_scores_wins():
    scores = torch.randn(2, 1, 5, 4).repeat(1, 6, 1, 1)
    scores[:, :2] -= 1
    assert (argmax(ScoreMap.of(scores, (33, 21))) == 2).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_win_as_in_torch(value):
    rng = np.random.default_rng(8)
    for _ in range(20):
        score_map = random_map(rng)
        broken = rng.random(score_map.scores.shape) < 0.02
        # Left of the first column's centre the reference still reads the second, for nothing.
        broken[..., 1] = False
        score_map.scores[torch.from_numpy(broken)] = value
        mask, probability = winner(score_map)
        right_mask, right_probability = reference.winner(score_map)
        assert torch.equal(mask, right_mask)
        torch.testing.assert_close(
            probability, right_probability, rtol=1e-5, atol=1e-30, equal_nan=True
        )


def test_the_mask_s_type_fits_the_classes():
    for classes, dtype in ((256, torch.uint8), (257, torch.uint16), (65_535, torch.uint16)):
        score_map = ScoreMap.of(torch.randn(1, classes, 2, 2), (3, 5))
        mask = argmax(score_map)
        assert mask.dtype == dtype
        assert_wins(score_map, mask)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_scores_of_any_type_and_memory_order(dtype):
    score_map = random_map(np.random.default_rng(9), classes=8)
    scores = score_map.scores.to(dtype).contiguous(memory_format=torch.channels_last)
    other = ScoreMap(scores, score_map.stride, score_map.offset, score_map.size)
    assert_wins(other, argmax(other))


def test_probabilities_of_some_rows_are_those_of_the_whole_image():
    score_map = random_map(np.random.default_rng(10), classes=7)
    whole = score_map.logits().softmax(dim=1)
    height = score_map.size[0]
    for rows in (range(height), range(height // 3, height // 2 + 1)):
        torch.testing.assert_close(
            probabilities(score_map, rows), whole[:, :, rows.start : rows.stop]
        )
