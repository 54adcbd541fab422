"""Scores against a hand-worked example, torchmetrics, and what must hold for any counts."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion, Scores

with warnings.catch_warnings():
    # Its import warns of optional packages that these tests do not use.
    warnings.simplefilter("ignore")
    from torchmetrics.classification import MulticlassJaccardIndex, MulticlassRecall

# Worked by hand. Four classes, of which "boat" is neither in the mask nor predicted, and "bird"
# is predicted only; 9 means no label.
LABELS = LabelSpace(
    names=("sky", "sea", "bird", "boat"),
    colours=((0, 0, 255), (0, 128, 128), (255, 255, 255), (128, 0, 0)),
    ignore_index=9,
)
MASK = np.array([[0, 0, 0, 9], [0, 0, 0, 9], [1, 1, 1, 1], [1, 1, 1, 1]], np.uint8)
PREDICTION = np.array([[0, 0, 0, 3], [0, 2, 1, 0], [1, 1, 1, 1], [1, 0, 1, 1]], np.uint8)
# Of 6 sky pixels 4 are found, 1 is called sea, 1 bird. Of 8 sea pixels 7 are found, 1 called sky.
COUNTS = [[4, 1, 1, 0], [1, 7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def worked() -> Scores:
    confusion = Confusion(LABELS)
    confusion.update(PREDICTION, MASK)
    return confusion.scores()


counts_of_any_kind = st.integers(1, 6).flatmap(
    lambda classes: arrays(np.int64, (classes, classes), elements=st.integers(0, 50))
)


def scores_of(counts: np.ndarray) -> Scores:
    return Scores(LabelSpace.of([f"class {index}" for index in range(len(counts))]), counts)


def test_the_worked_example_has_the_counts_and_scores_worked_by_hand():
    scores = worked()
    assert scores.counts.tolist() == COUNTS
    assert scores.pixels.tolist() == [6, 8, 0, 0]
    np.testing.assert_allclose(scores.iou, [4 / 7, 7 / 9, 0, math.nan])
    np.testing.assert_allclose(scores.accuracy, [4 / 6, 7 / 8, math.nan, math.nan])
    np.testing.assert_allclose(scores.dice, [8 / 11, 14 / 16, 0, math.nan])
    assert scores.pixel_accuracy == pytest.approx(11 / 14)
    assert scores.mean_accuracy == pytest.approx((4 / 6 + 7 / 8) / 2)
    assert scores.mean_iou == pytest.approx((4 / 7 + 7 / 9 + 0) / 3)
    assert scores.frequency_weighted_iou == pytest.approx((6 * 4 / 7 + 8 * 7 / 9) / 14)
    assert scores.mean_dice == pytest.approx((8 / 11 + 14 / 16 + 0) / 3)


def test_json_has_exactly_the_agreed_keys_and_null_for_undefined_scores():
    # allow_nan=False: a NaN in it would be no JSON.
    document = json.loads(json.dumps(worked().as_json(), allow_nan=False))
    assert list(document) == [
        "mean_iou",
        "pixel_accuracy",
        "mean_accuracy",
        "frequency_weighted_iou",
        "mean_dice",
        "classes",
    ]
    assert list(document["classes"]) == ["sky", "sea", "bird", "boat"]
    assert document["classes"]["bird"] == {"iou": 0.0, "accuracy": None, "dice": 0.0, "pixels": 0}
    assert document["classes"]["boat"] == {"iou": None, "accuracy": None, "dice": None, "pixels": 0}


def test_without_a_labelled_pixel_every_score_is_undefined():
    document = Confusion(LABELS).scores().as_json()
    classes = document.pop("classes")
    assert set(document.values()) == {None}
    assert {entry["iou"] for entry in classes.values()} == {None}


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_those_of_torchmetrics(seed):
    generator = torch.Generator().manual_seed(seed)
    classes, ignore_index = 7, 255
    labels = LabelSpace.of([f"class {index}" for index in range(classes)])
    # Class 6 is never in the masks, class 5 neither there nor predicted.
    mask = torch.randint(0, 5, (3, 37, 23), generator=generator)
    mask[torch.rand(mask.shape, generator=generator) < 0.1] = ignore_index
    guess = torch.where(
        torch.rand(mask.shape, generator=generator) < 0.6,
        mask.clamp(max=4),
        torch.randint(0, 5, mask.shape, generator=generator),
    )
    guess[:, 0, :5] = 6
    confusion = Confusion(labels)
    for one_guess, one_mask in zip(guess, mask, strict=True):
        confusion.update(one_guess.numpy().astype(np.uint8), one_mask.numpy().astype(np.uint8))
    scores = confusion.scores()
    iou = MulticlassJaccardIndex(classes, ignore_index=ignore_index, average=None)(guess, mask)
    recall = MulticlassRecall(classes, ignore_index=ignore_index, average=None)(guess, mask)
    # torchmetrics gives a class without a pixel 0; here it is NaN, whichever the score.
    occurs = ~np.isnan(scores.iou)
    assert occurs.tolist() == [True] * 5 + [False, True]
    np.testing.assert_allclose(scores.iou[occurs], iou.numpy()[occurs], rtol=1e-5)
    np.testing.assert_allclose(scores.accuracy[:5], recall.numpy()[:5], rtol=1e-5)
    # Its macro mean leaves out the classes that never occur, as ours does.
    macro = MulticlassJaccardIndex(classes, ignore_index=ignore_index, average="macro")(guess, mask)
    assert scores.mean_iou == pytest.approx(float(macro), rel=1e-5)
    labelled = mask != ignore_index
    assert scores.pixel_accuracy == pytest.approx(
        float((guess[labelled] == mask[labelled]).double().mean())
    )


@given(counts_of_any_kind)
def test_every_defined_score_lies_in_0_to_1_and_iou_is_the_lowest(counts):
    scores = scores_of(counts)
    for values in (scores.iou, scores.accuracy, scores.dice):
        defined = values[~np.isnan(values)]
        assert ((defined >= 0) & (defined <= 1)).all()
    both = ~np.isnan(scores.accuracy)
    assert (scores.iou[both] <= scores.accuracy[both]).all()
    # Dice and IoU are two forms of one number.
    np.testing.assert_allclose(scores.dice, 2 * scores.iou / (1 + scores.iou))


@given(counts_of_any_kind)
def test_scores_do_not_depend_on_the_order_of_the_classes(counts):
    straight, reversed_ = scores_of(counts), scores_of(counts[::-1, ::-1].copy())
    np.testing.assert_array_equal(straight.iou, reversed_.iou[::-1])
    assert straight.mean_iou == pytest.approx(reversed_.mean_iou, nan_ok=True)
    assert straight.frequency_weighted_iou == pytest.approx(
        reversed_.frequency_weighted_iou, nan_ok=True
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_perfect_prediction_scores_1_wherever_a_score_is_defined(pixels):
    scores = scores_of(np.diag(np.asarray(pixels, np.int64)))
    expected = 1.0 if any(pixels) else math.nan
    for value in (
        scores.mean_iou,
        scores.mean_accuracy,
        scores.mean_dice,
        scores.pixel_accuracy,
        scores.frequency_weighted_iou,
    ):
        assert value == pytest.approx(expected, nan_ok=True)


@given(counts_of_any_kind)
def test_a_class_that_never_occurs_changes_no_mean(counts):
    wider = np.zeros((len(counts) + 1,) * 2, np.int64)
    wider[:-1, :-1] = counts
    without, with_it = scores_of(counts), scores_of(wider)
    for name in ("mean_iou", "mean_accuracy", "mean_dice", "frequency_weighted_iou"):
        assert getattr(without, name) == pytest.approx(getattr(with_it, name), nan_ok=True)
