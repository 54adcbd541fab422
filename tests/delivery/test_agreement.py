"""What is compared, and when an export counts as another network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.delivery.agreement import Agreement, odd_parts, score_agreement
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import TorchRuntime
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


class Pixels(nn.Module):
    """The bands themselves as scores, one of them shifted."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, images: torch.Tensor) -> ScoreMap:
        scores = images + torch.tensor([self.shift, 0.0, 0.0]).view(1, 3, 1, 1)
        return ScoreMap.of(scores, (images.shape[2], images.shape[3]))


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        ((1, 1), [(1, 1), (1, 1), (1, 1)]),
        ((2, 3), [(1, 3), (1, 1), (1, 1)]),
        ((360, 480), [(359, 479), (239, 319), (119, 159)]),
        ((5000, 30), [(769, 29), (769, 19), (769, 9)]),
    ],
)
def test_parts_are_odd_and_no_larger_than_the_image(
    size: tuple[int, int], parts: list[tuple[int, int]]
) -> None:
    image = np.zeros((3, *size), np.uint8)
    assert [part.shape[1:] for _, part in odd_parts([("a", image)])] == parts


def test_three_images_give_a_part_each() -> None:
    images = [(name, np.zeros((3, 9, 9), np.uint8)) for name in "abc"]
    assert [name for name, _ in odd_parts(images)] == ["a", "b", "c"]


@pytest.mark.parametrize(("shift", "holds"), [(0.0, True), (1e-5, True), (0.01, False)])
def test_scores_that_differ_are_seen(shift: float, holds: bool) -> None:
    cpu, labels = torch.device("cpu"), LabelSpace.of(["a", "b", "c"])
    model = Model(Pixels(0.0), labels, Preprocessing(), cpu, TorchRuntime(Pixels(0.0), cpu))
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 50), np.uint8)
    found = score_agreement(model, TorchRuntime(Pixels(shift), cpu), [("image", image)])
    assert [one.size for one in found] == [(39, 49), (25, 33), (13, 15)]
    assert all(one.holds == holds for one in found)


@pytest.mark.parametrize(
    ("difference", "equal", "holds"),
    [(1e-6, 1.0, True), (2e-3, 1.0, False), (1e-6, 0.99, False), (None, 0.9995, True)],
)
def test_both_scores_and_pixels_count(difference: float | None, equal: float, holds: bool) -> None:
    one = Agreement((3, 5), difference, equal)
    assert one.holds == holds
    assert "3×5" in str(one)
