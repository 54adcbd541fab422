"""No image's scores depend on who was computed with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from inference.conftest import Coarse

from delivery.server.conftest import picture
from perpixel.delivery.server.exact_batches import ExactBatches
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


class Pooling(Coarse):
    """A network without sums that a library could add up in another order."""

    def forward(self, images: torch.Tensor) -> ScoreMap:
        self.seen.append(images)
        found = F.max_pool2d(images, 4, ceil_mode=True)
        return ScoreMap.of(torch.cat([found, -found], dim=1)[:, :4], images.shape[2:], stride=4.0)


class Rounding(Pooling):
    """A network whose sums are rounded otherwise when there are several images."""

    def forward(self, images: torch.Tensor) -> ScoreMap:
        found = super().forward(images)
        return replace(found, scores=found.scores + 1e-6 * (len(images) > 1))


def images(count: int, height: int = 20, width: int = 30) -> list[np.ndarray]:
    return [picture(height, width, seed).transpose(2, 0, 1) for seed in range(count)]


def scored(model: Model, image: np.ndarray) -> torch.Tensor:
    return model.views([image], names=["image"])[0].scores


@pytest.mark.parametrize(("kind", "calls"), [(Pooling, [4, 1, 1, 1, 1, 4, 4]), (Rounding, None)])
def test_a_batch_is_made_only_where_it_gives_the_same_bits(
    labels: LabelSpace, kind: type[Pooling], calls: list[int] | None
) -> None:
    network = kind(4).eval()
    model = Model(network, labels, Preprocessing(), torch.device("cpu"))
    batches = ExactBatches(model)
    found = [batches.scores(images(4)) for _ in range(3)]
    # One that differs is not made again.
    assert [len(seen) for seen in network.seen] == (calls or [4, *[1] * 12])
    for one in found:
        for image, scores in zip(images(4), one, strict=True):
            assert torch.equal(scores.scores, scored(model, image))
            assert scores.size == (20, 30)


def test_each_size_and_number_is_judged_by_itself(labels: LabelSpace) -> None:
    network = Pooling(4).eval()
    batches = ExactBatches(Model(network, labels, Preprocessing(), torch.device("cpu")))
    for count, width in [(2, 30), (4, 30), (2, 31), (2, 30)]:
        batches.scores(images(count, 20, width))
    assert [len(seen) for seen in network.seen] == [2, 1, 1, 4, 1, 1, 1, 1, 2, 1, 1, 2]
