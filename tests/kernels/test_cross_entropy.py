"""Cross-entropy against the reference in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.errors import DataError
from perpixel.kernels import cross_entropy, reference
from perpixel.score_map import ScoreMap

from .cases import IGNORED, in_float64, random_map, random_mask


def both(score_map, mask, **options):
    """Loss and gradient of the kernel, and of the reference in float64."""
    results = []
    own = ScoreMap(
        score_map.scores.detach().requires_grad_(),
        score_map.stride,
        score_map.offset,
        score_map.size,
    )
    for function, each in ((cross_entropy, own), (reference.cross_entropy, in_float64(score_map))):
        loss = function(each, mask, ignore_index=IGNORED, **options)
        loss.backward()
        results += [loss.detach(), each.scores.grad]
    return results


def assert_close(score_map, mask, **options):
    loss, gradient, right_loss, right_gradient = both(score_map, mask, **options)
    torch.testing.assert_close(loss.double(), right_loss, rtol=1e-6, atol=1e-9)
    scale = right_gradient.abs().max()
    assert (gradient.double() - right_gradient).abs().max() <= 1e-5 * scale


@pytest.mark.parametrize("seed", range(200))
def test_loss_and_gradient_are_the_reference_s(seed):
    rng = np.random.default_rng(seed)
    score_map = random_map(rng, classes=int(rng.integers(2, 31)))
    weights = torch.from_numpy(rng.random(score_map.classes)) + 0.1
    assert_close(
        score_map,
        random_mask(rng, score_map),
        class_weights=weights.float() if seed % 3 == 0 else None,
        label_smoothing=0.1 if seed % 5 == 0 else 0.0,
        reduction="mean" if seed % 2 else "sum",
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0.1, 8))
def test_smoothing_and_spread_of_any_size(seed, smoothing, spread):
    rng = np.random.default_rng(seed)
    score_map = random_map(rng, classes=5)
    score_map = ScoreMap(
        score_map.scores * spread, score_map.stride, score_map.offset, score_map.size
    )
    mask = random_mask(rng, score_map)
    loss, gradient, right_loss, right_gradient = both(score_map, mask, label_smoothing=smoothing)
    torch.testing.assert_close(loss.double(), right_loss, rtol=1e-6, atol=0)
    # Much smoothing and little spread make a gradient the difference of nearly equal numbers: its
    # error is that of their size, the probabilities' sum over the pixels of a cell.
    wide = in_float64(score_map)
    spread_out = wide.logits().logsumexp(1)[mask.long() != IGNORED]
    (sums,) = torch.autograd.grad(spread_out.mean(), wide.scores)
    scale = max(right_gradient.abs().max(), sums.abs().max())
    assert (gradient.double() - right_gradient).abs().max() <= 1e-5 * scale


def test_scores_hundreds_apart_do_not_underflow():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(2, 7, 5, 6)) * 300).float()
    score_map = ScoreMap.of(scores, (37, 41))
    loss, gradient, right_loss, right_gradient = both(score_map, random_mask(rng, score_map))
    torch.testing.assert_close(loss.double(), right_loss, rtol=1e-6, atol=0)
    # A float32 score of 1000 is only known to 6e-5, and so are the probabilities.
    assert (gradient.double() - right_gradient).abs().max() <= 1e-4 * right_gradient.abs().max()


def test_a_single_class_is_always_right():
    rng = np.random.default_rng(1)
    score_map = random_map(rng, classes=1)
    loss, gradient, _, _ = both(score_map, random_mask(rng, score_map))
    assert abs(loss) < 1e-6
    assert gradient.abs().max() < 1e-6


def test_many_classes():
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=(1, 65_535, 2, 2))).float()
    score_map = ScoreMap.of(scores, (4, 3))
    mask = torch.tensor(rng.integers(0, 65_535, (1, 4, 3)), dtype=torch.uint16)
    assert_close(score_map, mask)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_get_a_gradient_of_their_type(dtype):
    rng = np.random.default_rng(3)
    score_map = random_map(rng, classes=9)
    half = ScoreMap(score_map.scores.to(dtype), score_map.stride, score_map.offset, score_map.size)
    wide = ScoreMap(half.scores.float(), half.stride, half.offset, half.size)
    mask = random_mask(rng, half)
    loss, gradient, _, _ = both(half, mask)
    right_loss, right_gradient, _, _ = both(wide, mask)
    assert gradient.dtype == dtype
    assert loss == right_loss
    assert torch.equal(gradient, right_gradient.to(dtype))


def test_memory_order_of_the_scores_does_not_matter():
    rng = np.random.default_rng(4)
    score_map = random_map(rng, classes=6)
    mask = random_mask(rng, score_map)
    scores = score_map.scores
    loss, gradient, _, _ = both(score_map, mask)
    last = scores.contiguous(memory_format=torch.channels_last)
    strided = torch.stack([scores, scores], dim=-1)[..., 0]
    for other in (last, strided):
        assert not other.is_contiguous()
        moved = ScoreMap(other, score_map.stride, score_map.offset, score_map.size)
        other_loss, other_gradient, _, _ = both(moved, mask)
        assert other_loss == loss
        assert torch.equal(other_gradient, gradient)


def test_mask_may_be_a_view():
    rng = np.random.default_rng(5)
    score_map = ScoreMap.of(torch.randn(1, 4, 5, 6), (20, 30))
    mask = torch.from_numpy(rng.integers(0, 4, (1, 30, 20))).to(torch.uint8).mT
    assert_close(score_map, mask)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_without_labels_loss_and_gradient_are_zero(reduction):
    score_map = random_map(np.random.default_rng(6))
    mask = torch.full((score_map.scores.shape[0], *score_map.size), IGNORED, dtype=torch.uint8)
    loss, gradient, right_loss, _ = both(score_map, mask, reduction=reduction)
    assert loss == right_loss == 0
    assert not gradient.any()


def test_labels_that_weigh_nothing_teach_nothing():
    score_map = ScoreMap.of(torch.randn(1, 2, 3, 3), (12, 12))
    mask = torch.zeros(1, 12, 12, dtype=torch.uint8)
    loss, gradient, right_loss, _ = both(score_map, mask, class_weights=torch.tensor([0.0, 1.0]))
    assert loss == right_loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_show_in_the_loss(value):
    scores = torch.randn(1, 3, 4, 5)
    scores[0, 1, 2, 2] = value
    mask = torch.zeros(1, 16, 20, dtype=torch.uint8)
    assert not cross_entropy(ScoreMap.of(scores, (16, 20)), mask, ignore_index=255).isfinite()


def test_negative_ignore_index():
    rng = np.random.default_rng(7)
    score_map = random_map(rng, classes=4)
    mask = random_mask(rng, score_map).long()
    moved = torch.where(mask == IGNORED, -100, mask)
    loss = cross_entropy(score_map, moved, ignore_index=-100)
    assert loss == cross_entropy(score_map, mask, ignore_index=IGNORED)


@pytest.mark.parametrize("label", [3, 200, -1])
def test_a_label_that_is_no_class_is_named(label):
    mask = torch.zeros(1, 8, 8, dtype=torch.int64)
    mask[0, 5, 5] = label
    with pytest.raises(DataError, match=f"label {label}; expected 0 to 2, or 255"):
        cross_entropy(ScoreMap.of(torch.randn(1, 3, 2, 2), (8, 8)), mask, ignore_index=255)


def test_wrong_arguments_are_refused():
    score_map = ScoreMap.of(torch.randn(1, 3, 2, 2), (8, 8))
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"mask \(1, 8, 7\)"):
        cross_entropy(score_map, mask[..., :7], ignore_index=255)
    with pytest.raises(ValueError, match="reduction 'none'"):
        cross_entropy(score_map, mask, ignore_index=255, reduction="none")
    with pytest.raises(ValueError, match="label_smoothing"):
        cross_entropy(score_map, mask, ignore_index=255, label_smoothing=1.5)
    with pytest.raises(ValueError, match="2 class_weights for 3"):
        cross_entropy(score_map, mask, ignore_index=255, class_weights=torch.ones(2))
