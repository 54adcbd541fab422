"""Counts against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perpixel.errors import DataError
from perpixel.kernels import confusion, reference

TYPES = [torch.uint8, torch.uint16, torch.int64]


@pytest.mark.parametrize("truth_type", TYPES)
@pytest.mark.parametrize("found_type", TYPES)
def test_counts_are_numpy_s(truth_type, found_type):
    rng = np.random.default_rng(0)
    for classes in (1, 19, 200):
        truth, found = rng.integers(0, classes, (2, 3, 257, 431))
        truth[rng.random(truth.shape) < 0.1] = 255
        counts = confusion(
            torch.from_numpy(found).to(found_type),
            torch.from_numpy(truth).to(truth_type),
            classes=classes,
            ignore_index=255,
        )
        right = np.zeros((classes, classes), dtype=np.int64)
        kept = truth != 255
        np.add.at(right, (truth[kept], found[kept]), 1)
        assert torch.equal(counts, torch.from_numpy(right))


def test_other_types_views_and_many_classes():
    rng = np.random.default_rng(1)
    truth, found = (torch.from_numpy(rng.integers(0, 300, (40, 50))).T for _ in range(2))
    right = reference.confusion(found, truth, classes=300, ignore_index=-100)
    counts = confusion(found.int(), truth.short(), classes=300, ignore_index=-100)
    assert torch.equal(counts, right)


def test_runs_of_equal_labels_wherever_they_start_in_memory():
    rng = np.random.default_rng(2)
    truth, found = (rng.integers(0, 7, (2, 90)).repeat(37)[:3001].astype(np.uint8) for _ in "ab")
    truth[40:300] = 255
    for start in (0, 1, 5, 8):
        ours = confusion(
            torch.from_numpy(found)[start:],
            torch.from_numpy(truth)[start:],
            classes=7,
            ignore_index=255,
        )
        right = reference.confusion(
            torch.from_numpy(found[start:]),
            torch.from_numpy(truth[start:]),
            classes=7,
            ignore_index=255,
        )
        assert torch.equal(ours, right)


@pytest.mark.parametrize(("found", "truth"), [(3, 0), (0, 3), (0, 200)])
def test_a_byte_out_of_range_is_named(found, truth):
    mask = torch.full((20,), truth, dtype=torch.uint8)
    with pytest.raises(DataError, match=f"label {truth}, prediction {found}"):
        confusion(torch.full_like(mask, found), mask, classes=3, ignore_index=255)


def test_nothing_labelled_counts_nothing():
    mask = torch.full((5, 7), 255, dtype=torch.uint8)
    assert not confusion(torch.zeros_like(mask), mask, classes=3, ignore_index=255).any()


@pytest.mark.parametrize(("found", "truth"), [(3, 0), (0, 3)])
def test_a_class_out_of_range_is_named(found, truth):
    with pytest.raises(DataError, match=f"label {truth}, prediction {found}"):
        confusion(torch.tensor([found]), torch.tensor([truth]), classes=3, ignore_index=255)
