"""Calibration against torchmetrics, and against its definition where torchmetrics differs."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from metrics.test_boundary import LABELS
from perpixel.metrics import Calibration
from perpixel.metrics.calibration import BINS

with warnings.catch_warnings():
    # Its import warns of optional packages that these tests do not use.
    warnings.simplefilter("ignore")
    from torchmetrics.functional.classification import multiclass_calibration_error


def sample(seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Probabilities (classes, H, W) of an odd size, and a mask that they are half right about."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(5, 40)), int(rng.integers(5, 40)))
    probabilities = torch.from_numpy(rng.normal(0, 1.5, (3, *size))).float().softmax(dim=0)
    mask = np.where(rng.random(size) < 0.5, probabilities.argmax(0), rng.integers(0, 3, size))
    mask[rng.random(size) < 0.2] = 9
    return probabilities, mask.astype(np.uint8)


def counted(probabilities: torch.Tensor, mask: np.ndarray) -> Calibration:
    confidence, guess = probabilities.max(dim=0)
    calibration = Calibration(LABELS)
    calibration.update(guess.numpy().astype(np.uint8), confidence.numpy(), mask)
    return calibration


@pytest.mark.parametrize("seed", range(5))
def test_the_expected_calibration_error_is_torchmetrics(seed):
    probabilities, mask = sample(seed)
    expected = multiclass_calibration_error(
        probabilities[None],
        torch.from_numpy(mask.astype(np.int64))[None],
        num_classes=3,
        n_bins=BINS,
        ignore_index=9,
    )
    assert counted(probabilities, mask).error == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_bins_are_those_of_the_definition(seed):
    probabilities, mask = sample(seed)
    confidence = probabilities.max(dim=0).values.numpy().copy()
    guess = probabilities.argmax(dim=0).numpy().astype(np.uint8)
    confidence[0, :3] = 1.0
    calibration = Calibration(LABELS)
    calibration.update(guess, confidence, mask)
    for index in range(BINS):
        inside = (confidence >= index / BINS) & (mask != 9)
        if index < BINS - 1:
            inside &= confidence < (index + 1) / BINS
        assert calibration.pixels[index] == inside.sum()
        if inside.any():
            right = (guess == mask)[inside].mean()
            assert calibration.accuracy[index] == pytest.approx(right)
            assert calibration.confidence[index] == pytest.approx(confidence[inside].mean())
        else:
            assert math.isnan(calibration.accuracy[index])
    gaps = calibration.pixels * np.abs(calibration.accuracy - calibration.confidence)
    assert calibration.error == pytest.approx(np.nansum(gaps) / calibration.pixels.sum())


def test_a_model_that_is_sure_and_wrong_is_overconfident():
    calibration = Calibration(LABELS)
    mask, guess = np.array([[0, 0, 0, 9]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    calibration.update(guess, np.array([[0.9, 0.9, 0.6, 0.1]], np.float32), mask)
    assert calibration.overconfidence == pytest.approx(0.8 - 1 / 3)
    # 0.9 twice, of which one is right; 0.6 once, wrong.
    assert calibration.error == pytest.approx((2 * 0.4 + 0.6) / 3)


def test_without_a_labelled_pixel_nothing_is_defined():
    calibration = Calibration(LABELS)
    calibration.update(
        np.zeros((2, 3), np.uint8), np.ones((2, 3), np.float32), np.full((2, 3), 9, np.uint8)
    )
    assert math.isnan(calibration.error)
    assert math.isnan(calibration.overconfidence)


def test_image_by_image_adds_up():
    together, parts = Calibration(LABELS), Calibration(LABELS)
    for seed in (7, 8):
        probabilities, mask = sample(seed)
        parts.add(counted(probabilities, mask))
        confidence, guess = probabilities.max(dim=0)
        together.update(guess.numpy().astype(np.uint8), confidence.numpy(), mask)
    assert together.pixels.sum() > 0
    assert together.pixels.tolist() == parts.pixels.tolist()
    assert together.error == pytest.approx(parts.error)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.nan])
def test_a_confidence_that_is_no_probability_is_refused(wrong):
    mask = np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match="outside 0"):
        Calibration(LABELS).update(mask, np.array([[wrong]], np.float32), mask)
