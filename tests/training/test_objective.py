"""The objective is the sum of its terms, and void pixels are in none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from perpixel import kernels
from perpixel.score_map import ScoreMap
from perpixel.training.objective import Objective

SIZE = (23, 31)


def case() -> tuple[ScoreMap, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 4, 6, 8, generator=generator, requires_grad=True)
    masks = torch.randint(0, 4, (2, *SIZE), generator=generator).to(torch.uint8)
    masks[:, 5:9] = 255
    return ScoreMap.of(scores, SIZE, 4.0), masks


def test_the_default_is_cross_entropy() -> None:
    score_map, masks = case()
    right = F.cross_entropy(score_map.logits(), masks.long(), ignore_index=255)
    torch.testing.assert_close(Objective(255)(score_map, masks), right)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_class_weights_weigh_the_scores_as_well(reduction: str) -> None:
    score_map, masks = case()
    weights = torch.tensor([1.4, 50.0, 0.5, 7.0])
    weighted = score_map.logits() + weights.log()[:, None, None]
    right = F.cross_entropy(weighted, masks.long(), weights, ignore_index=255, reduction=reduction)
    found = Objective(255, weights, reduction=reduction)(score_map, masks)
    torch.testing.assert_close(found, right)


@pytest.mark.parametrize("weights", [None, (1.4, 50.0, 0.5, 7.0)])
def test_what_is_learned_is_how_often_classes_occur(weights: tuple[float, ...] | None) -> None:
    """Free scores, the same at every pixel, end at the classes' shares, whatever these weigh."""
    _, masks = case()
    counts = torch.bincount(masks[masks != 255].long(), minlength=4).double()
    scores = torch.zeros(1, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    objective = Objective(255, None if weights is None else torch.tensor(weights))
    optimizer = torch.optim.LBFGS(
        [scores],
        max_iter=100,
        tolerance_grad=1e-9,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        everywhere = scores.expand(2, 4, 6, 8)
        value = objective(ScoreMap.of(everywhere, SIZE, 4.0), masks)
        value.backward()
        return value

    optimizer.step(loss)
    share = scores.detach().softmax(1).flatten()
    torch.testing.assert_close(share, counts / counts.sum(), atol=1e-5, rtol=0)


def test_a_class_that_weighs_nothing_keeps_the_loss_a_number() -> None:
    score_map, masks = case()
    masks[masks == 2] = 255
    weights = torch.tensor([1.0, 3.0, 0.0, 2.0])
    loss = Objective(255, weights)(score_map, masks)
    loss.backward()
    assert torch.isfinite(loss)
    assert score_map.scores.grad is not None
    assert torch.isfinite(score_map.scores.grad).all()


def test_hard_pixels_are_those_of_the_largest_loss() -> None:
    score_map, masks = case()
    losses = F.cross_entropy(
        score_map.logits(), masks.long(), ignore_index=255, reduction="none"
    ).reshape(-1)
    labelled = int((masks != 255).sum())
    right = losses.topk(-(-labelled // 4)).values.mean()
    found = Objective(255, hard_pixels=0.25)(score_map, masks)
    torch.testing.assert_close(found, right)


def test_dice_is_added_of_all_labelled_pixels() -> None:
    score_map, masks = case()
    alone = Objective(255, hard_pixels=0.25)(score_map, masks)
    dice = kernels.dice(score_map, masks, ignore_index=255)
    both = Objective(255, hard_pixels=0.25, dice=0.5)(score_map, masks)
    torch.testing.assert_close(both, alone + 0.5 * dice)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_scores_that_only_void_pixels_see_get_no_gradient(reduction: str) -> None:
    score_map, masks = case()
    masks[1] = 255
    weights = torch.tensor([1.0, 3.0, 0.5, 2.0])
    objective = Objective(255, weights, 0.1, reduction, hard_pixels=0.5, dice=1.0)
    objective(score_map, masks).backward()
    assert score_map.scores.grad is not None
    assert score_map.scores.grad[0].abs().min() > 0
    assert not score_map.scores.grad[1].any()
