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
