"""Dice and hard pixels against the reference in float64; and pixels without a label."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from perpixel.errors import DataError
from perpixel.kernels import cross_entropy, dice, hard_pixels, operators, reference
from perpixel.score_map import ScoreMap

from .cases import IGNORED, in_float64, random_map, random_mask


def in_float32(score_map):
    """The same scores, for a gradient of their own."""
    scores = score_map.scores.detach().clone().requires_grad_()
    return ScoreMap(scores, score_map.stride, score_map.offset, score_map.size)


def with_gradient(function, score_map, *args, **options):
    loss = function(score_map, *args, **options)
    loss.backward()
    return loss.detach(), score_map.scores.grad


def assert_dice(score_map, mask):
    own, right = in_float32(score_map), in_float64(score_map)
    loss, gradient = with_gradient(dice, own, mask, ignore_index=IGNORED)
    right_loss, right_gradient = with_gradient(reference.dice, right, mask, ignore_index=IGNORED)
    torch.testing.assert_close(loss.double(), right_loss, rtol=2e-6, atol=1e-7)
    scale = right_gradient.abs().max()
    assert (gradient.double() - right_gradient).abs().max() <= 2e-5 * scale


def assert_hard(score_map, mask, share):
    """As many pixels are kept as the share says, and none is easier than one that is not."""
    kept = hard_pixels(score_map, mask, ignore_index=IGNORED, share=share)
    assert kept.dtype == mask.dtype
    truth, hard = mask.long(), kept.long() != IGNORED
    labelled = truth != IGNORED
    assert torch.equal(kept.long()[hard], truth[hard])
    assert not (hard & ~labelled).any()
    logits = in_float64(score_map).logits().detach()
    label = truth.clamp(max=score_map.classes - 1)[:, None]
    others = logits.scatter(1, label, -torch.inf).logsumexp(1)
    lead = logits.gather(1, label)[:, 0] - others
    rounding = 4 * torch.finfo(torch.float32).eps * score_map.scores.abs().max() + 1e-6
    wanted = math.ceil(share * int(labelled.sum()))
    # Beyond the grid's edge pixels are equal, and may be equally hard as the last that is wanted.
    assert (lead[hard] < lead[hard].max() - rounding).sum() <= wanted <= hard.sum()
    if (labelled & ~hard).any():
        assert lead[hard].max() <= lead[labelled & ~hard].min() + rounding


@pytest.mark.parametrize("seed", range(120))
def test_dice_and_its_gradient_are_the_reference_s(seed):
    rng = np.random.default_rng(seed)
    score_map = random_map(rng, classes=int(rng.integers(2, 31)))
    assert_dice(score_map, random_mask(rng, score_map))


@pytest.mark.parametrize("seed", range(60))
def test_the_hardest_pixels_are_the_reference_s(seed):
    rng = np.random.default_rng(seed)
    score_map = random_map(rng, classes=int(rng.integers(2, 31)))
    assert_hard(score_map, random_mask(rng, score_map), float(rng.uniform(0.01, 1)))


def test_scores_hundreds_apart():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(2, 7, 5, 6)) * 300).float()
    score_map = ScoreMap.of(scores, (37, 41))
    mask = random_mask(rng, score_map)
    own, right = in_float32(score_map), in_float64(score_map)
    loss, gradient = with_gradient(dice, own, mask, ignore_index=IGNORED)
    right_loss, right_gradient = with_gradient(reference.dice, right, mask, ignore_index=IGNORED)
    torch.testing.assert_close(loss.double(), right_loss, rtol=1e-5, atol=0)
    # A float32 score of 1000 is only known to 6e-5, and so are the probabilities.
    assert (gradient.double() - right_gradient).abs().max() <= 1e-3 * right_gradient.abs().max()


def test_dice_is_that_of_masks_where_the_scores_are_sure():
    """Against metrics counted by hand: 2 |A ∩ B| / (|A| + |B|)."""
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 3, (2, 1, 9, 11))
    truth[0, :2] = IGNORED
    scores = 60.0 * torch.nn.functional.one_hot(torch.from_numpy(found), 4).movedim(3, 1).float()
    there = truth != IGNORED
    expected = [
        2 * ((truth == k) & (found == k)).sum() / ((truth == k).sum() + (found == k)[there].sum())
        for k in range(3)
    ]
    loss = dice(ScoreMap.of(scores, (9, 11)), torch.from_numpy(truth), ignore_index=IGNORED)
    assert float(loss) == pytest.approx(1 - np.mean(expected), abs=1e-6)


def test_a_class_without_a_pixel_is_left_out():
    rng = np.random.default_rng(2)
    score_map = random_map(rng, classes=5)
    mask = random_mask(rng, score_map)
    mask[mask == 3] = 1
    assert_dice(score_map, mask)
    loss = dice(score_map, mask, ignore_index=IGNORED)
    assert 0 < loss < 1


def beyond(score_map, mask):
    """The same image with more rows and columns at its end, which nobody labelled."""
    height, width = score_map.size
    size = (height + 13, width + 7)
    more = torch.full((mask.shape[0], *size), IGNORED, dtype=mask.dtype)
    more[:, :height, :width] = mask
    return ScoreMap(score_map.scores, score_map.stride, score_map.offset, size), more


LOSSES = {
    "cross-entropy": cross_entropy,
    "weighted": lambda *args, **options: cross_entropy(
        *args, class_weights=torch.tensor([0.5, 4, 1, 2, 1, 9]), label_smoothing=0.1, **options
    ),
    "dice": dice,
    "hard": lambda score_map, mask, ignore_index: cross_entropy(
        score_map,
        hard_pixels(score_map, mask, ignore_index=ignore_index, share=0.3),
        ignore_index=ignore_index,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(8))
def test_pixels_without_a_label_change_nothing(name, seed):
    """An image and the same one with unlabelled pixels added have the same loss and gradient."""
    score_map = random_map(np.random.default_rng(seed), classes=6)
    mask = random_mask(np.random.default_rng(seed), score_map)
    results = []
    for each, labels in ((score_map, mask), beyond(score_map, mask)):
        results.append(with_gradient(LOSSES[name], in_float32(each), labels, ignore_index=IGNORED))
    (loss, gradient), (other_loss, other_gradient) = results
    torch.testing.assert_close(other_loss, loss, rtol=1e-6, atol=1e-8)
    assert (other_gradient - gradient).abs().max() <= 2e-6 * gradient.abs().max()


def test_nothing_labelled():
    score_map = in_float32(random_map(np.random.default_rng(3)))
    mask = torch.full((score_map.scores.shape[0], *score_map.size), IGNORED, dtype=torch.uint8)
    loss, gradient = with_gradient(dice, score_map, mask, ignore_index=IGNORED)
    assert loss == reference.dice(score_map, mask, ignore_index=IGNORED) == 0
    assert not gradient.any()
    assert torch.equal(hard_pixels(score_map, mask, ignore_index=IGNORED, share=0.5), mask)
    right = reference.hard_pixels(score_map, mask, ignore_index=IGNORED, share=0.5)
    assert torch.equal(right, mask)


def test_pixels_as_hard_as_the_last_are_all_kept():
    scores = torch.zeros(1, 3, 1, 4)
    scores[0, 1] = torch.tensor([2.0, 1.0, 1.0, 0.0])
    mask = torch.ones(1, 1, 4, dtype=torch.uint8)
    for module in (hard_pixels, reference.hard_pixels):
        kept = module(ScoreMap.of(scores, (1, 4)), mask, ignore_index=IGNORED, share=0.5)
        assert kept.tolist() == [[[IGNORED, 1, 1, 1]]]


def test_the_surest_pixels_are_still_told_apart():
    """Where probabilities in float32 are all 1."""
    scores = torch.zeros(1, 2, 1, 5)
    scores[0, 1] = torch.tensor([30.0, 40.0, 20.0, 50.0, 35.0])
    mask = torch.ones(1, 1, 5, dtype=torch.int64)
    kept = hard_pixels(ScoreMap.of(scores, (1, 5)), mask, ignore_index=-100, share=0.6)
    assert kept.tolist() == [[[1, -100, 1, -100, 1]]]


def test_scores_that_are_no_number_show():
    scores = torch.randn(1, 3, 4, 5)
    scores[0, 1, 2, 2] = torch.nan
    score_map, mask = ScoreMap.of(scores, (16, 20)), torch.zeros(1, 16, 20, dtype=torch.uint8)
    assert dice(score_map, mask, ignore_index=255).isnan()
    kept = hard_pixels(score_map, mask, ignore_index=255, share=0.1)
    assert cross_entropy(score_map, kept, ignore_index=255).isnan()


def test_types_views_and_memory_orders():
    rng = np.random.default_rng(5)
    score_map = random_map(rng, classes=6)
    mask = random_mask(rng, score_map).long()
    right = dice(score_map, mask, ignore_index=IGNORED)
    kept = hard_pixels(score_map, mask, ignore_index=IGNORED, share=0.4)
    last = score_map.scores.contiguous(memory_format=torch.channels_last)
    moved = ScoreMap(last, score_map.stride, score_map.offset, score_map.size)
    for labels in (mask.to(torch.uint8), mask.to(torch.int16), mask.mT.contiguous().mT):
        assert dice(moved, labels, ignore_index=IGNORED) == right
        found = hard_pixels(moved, labels, ignore_index=IGNORED, share=0.4)
        assert found.dtype == labels.dtype
        assert torch.equal(found.long(), kept)
    half = in_float32(score_map)
    half = ScoreMap(
        half.scores.bfloat16().detach().requires_grad_(), *list(vars(half).values())[1:]
    )
    _, gradient = with_gradient(dice, half, mask, ignore_index=IGNORED)
    assert gradient.dtype == torch.bfloat16


def test_the_bits_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    scores, mask = torch.randn(2, 9, 20, 21), torch.randint(0, 9, (2, 161, 163))
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            own = ScoreMap.of(scores.clone().requires_grad_(), (161, 163), offset=0.3)
            results.append(with_gradient(dice, own, mask, ignore_index=255))
            results[-1] += (hard_pixels(own, mask, ignore_index=255, share=0.2),)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_gradcheck_of_dice_in_float64_and_of_the_fused_kernel():
    mask = torch.randint(0, 3, (1, 7, 5))
    wide = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda scores: dice(ScoreMap.of(scores, (7, 5)), mask, ignore_index=255), wide
    )
    rest = ((3.5, 2.0), (0.0, 0.0), (7, 5), mask, 255, True)
    scores = torch.randn(1, 3, 2, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="not a double precision"):
        assert torch.autograd.gradcheck(
            lambda scores: operators.dice(scores, *rest)[0], scores, eps=0.05, atol=2e-3, rtol=0.02
        )


def test_wrong_arguments_are_refused():
    score_map = ScoreMap.of(torch.randn(1, 3, 4, 5), (16, 20))
    mask = torch.zeros(1, 16, 20, dtype=torch.uint8)
    for function, options in ((dice, {}), (hard_pixels, {"share": 0.5})):
        with pytest.raises(DataError, match="label 7; expected 0 to 2, or 255"):
            function(score_map, mask + 7, ignore_index=255, **options)
        with pytest.raises(ValueError, match="score maps of"):
            function(score_map, mask[:, 1:], ignore_index=255, **options)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="above 0"):
            hard_pixels(score_map, mask, ignore_index=255, share=share)
    with pytest.raises(ValueError, match="does not fit"):
        hard_pixels(score_map, mask, ignore_index=-100, share=0.5)
