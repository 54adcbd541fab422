"""Triton's kernels in Triton's interpreter, against the reference: run by `test_cuda`."""

from __future__ import annotations

import numpy as np
import torch
from cases import IGNORED, in_float64, random_mask

from perpixel.kernels import cuda, reference
from perpixel.score_map import ScoreMap

SHAPES = [
    # classes, cells, size, stride, offset
    (1, (2, 3), (7, 9), None, 0.0),
    (5, (3, 4), (11, 13), None, 0.0),
    (7, (4, 3), (16, 12), 4.0, 0.0),
    (3, (3, 2), (4, 140), (2.7, 60.0), (0.4, -0.6)),
    (4, (1, 1), (5, 6), 3.0, 2.0),
    (257, (1, 1), (1, 2), 2.0, 0.1),
    (2, (9, 8), (4, 5), (0.45, 0.6), 0.0),
]


def main() -> None:
    """Compare all operations on a few shapes."""
    rng = np.random.default_rng(0)
    for number, (classes, cells, size, stride, offset) in enumerate(SHAPES):
        scores = torch.from_numpy(rng.normal(size=(1 + number % 2, classes, *cells))).float()
        if number % 2:
            scores = scores.contiguous(memory_format=torch.channels_last)
        score_map = ScoreMap.of(scores, size, stride, offset)
        compare_winner(score_map)
        mask = random_mask(rng, score_map)
        mask = torch.where(mask.long() < classes, mask.long(), IGNORED).to(mask.dtype)
        weights = torch.from_numpy(rng.random(classes) + 0.1).float() if number % 3 == 0 else None
        smoothing, reduction = ((0.0, "mean"), (0.1, "sum"))[number % 2]
        compare_loss(score_map, mask, weights, smoothing, reduction)
    not_finite()
    labels(rng)


def compare_winner(score_map: ScoreMap) -> None:
    mask, probability = cuda.winner(score_map)
    right_mask, right_probability = reference.winner(in_float64(score_map))
    assert mask.dtype == right_mask.dtype
    assert torch.equal(mask, right_mask)
    assert torch.equal(mask, cuda.argmax(score_map))
    torch.testing.assert_close(probability, right_probability, rtol=1e-5, atol=0)


def compare_loss(score_map, mask, weights, smoothing, reduction) -> None:
    options = {"ignore_index": IGNORED, "label_smoothing": smoothing, "reduction": reduction}
    loss, gradient = cuda.cross_entropy(score_map, mask, weights, with_gradient=True, **options)
    right = in_float64(score_map)
    right_loss = reference.cross_entropy(right, mask, class_weights=weights, **options)
    right_loss.backward()
    torch.testing.assert_close(loss.double(), right_loss.detach(), rtol=1e-6, atol=1e-6)
    scale = right.scores.grad.abs().max() if score_map.classes > 1 else 1.0
    assert (gradient - right.scores.grad).abs().max() <= 1e-5 * scale


def not_finite() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    for value in (torch.nan, torch.inf):
        scores = torch.randn(1, 4, 3, 3)
        scores[0, 2, 1, 1] = value
        score_map = ScoreMap.of(scores, (8, 8))
        options = {"ignore_index": IGNORED, "label_smoothing": 0.0, "reduction": "mean"}
        loss, _ = cuda.cross_entropy(score_map, mask, None, with_gradient=False, **options)
        assert not loss.isfinite()
        if value != value:
            assert torch.equal(cuda.argmax(score_map), reference.argmax(score_map))
    scores = torch.randn(1, 4, 3, 3)
    options = {"ignore_index": 0, "label_smoothing": 0.0, "reduction": "mean"}
    loss, gradient = cuda.cross_entropy(
        ScoreMap.of(scores, (8, 8)), mask, None, with_gradient=True, **options
    )
    assert loss == 0
    assert not gradient.any()
    loss, _ = cuda.cross_entropy(
        ScoreMap.of(scores, (8, 8)), mask + 9, None, with_gradient=False, **options
    )
    assert loss.isnan()


def labels(rng: np.random.Generator) -> None:
    truth = torch.from_numpy(rng.integers(0, 6, (3, 37, 41))).to(torch.uint8)
    found = torch.from_numpy(rng.integers(0, 6, (3, 37, 41))).to(torch.uint16)
    truth[0, :5] = 255
    counts = cuda.confusion(found, truth, classes=6, ignore_index=255)
    assert torch.equal(counts, reference.confusion(found, truth, classes=6, ignore_index=255))


if __name__ == "__main__":
    main()
