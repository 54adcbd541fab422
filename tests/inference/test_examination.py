"""Examination: one pass that agrees with evaluation, and with predictions taken one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from inference.test_evaluation import SIZES, pairs
from perpixel.data.dataset import Pair
from perpixel.errors import DataError
from perpixel.inference.evaluation import evaluate
from perpixel.inference.examination import examine
from perpixel.metrics import BoundaryBands, Calibration, Confusion, ObjectSizes, Scores

__all__ = ["pairs"]  # a fixture


def test_the_scores_are_those_of_evaluation(model, pairs):
    assert examine(model, pairs).scores.counts.tolist() == evaluate(model, pairs).counts.tolist()


def test_every_side_is_that_of_the_predictions_of_each_image(model, pairs):
    boundary, sizes = BoundaryBands(model.labels), ObjectSizes(model.labels)
    calibration = Calibration(model.labels)
    for pair in pairs:
        one, mask = model.predict(pair.image), np.asarray(Image.open(pair.mask))
        boundary.update(one.mask, mask)
        sizes.update(one.mask, mask)
        calibration.update(one.mask, one.confidence, mask)
    found = examine(model, pairs)
    assert found.boundary.counts.tolist() == boundary.counts.tolist()
    assert found.sizes.hits.tolist() == sizes.hits.tolist()
    assert found.sizes.objects.tolist() == sizes.objects.tolist()
    assert found.calibration.pixels.tolist() == calibration.pixels.tolist()
    assert found.calibration.error == pytest.approx(calibration.error)


def test_the_images_are_kept_one_by_one_and_add_up_to_the_whole(model, pairs):
    found = examine(model, pairs)
    assert [image.pair for image in found.images] == pairs
    assert [image.size for image in found.images] == SIZES
    assert all(image.seconds > 0 for image in found.images)
    hits, truth, predicted = sum(image.totals for image in found.images)
    counts = found.scores.counts
    assert hits.tolist() == counts.diagonal().tolist()
    assert truth.tolist() == counts.sum(axis=1).tolist()
    assert predicted.tolist() == counts.sum(axis=0).tolist()


def test_an_image_is_scored_on_the_classes_that_its_mask_holds(model, pairs, tmp_path):
    mask, guess = np.asarray(Image.open(pairs[0].mask)).copy(), model.predict(pairs[0].image).mask
    absent = int(np.bincount(guess.reshape(-1)).argmax())
    mask[mask == absent] = 255
    pair = Pair(pairs[0].image, tmp_path / "without_one.png")
    Image.fromarray(mask).save(pair.mask)
    confusion = Confusion(model.labels)
    confusion.update(guess, mask)
    scores = Scores(model.labels, confusion.counts)
    assert scores.iou[absent] == 0  # predicted, though not there
    (image,) = examine(model, [pair]).images
    assert image.mean_iou == pytest.approx(np.delete(scores.iou, absent).mean())


def test_an_image_without_a_label_has_no_score_of_its_own(model, pairs):
    Image.fromarray(np.full(SIZES[0], 255, np.uint8)).save(pairs[0].mask)
    found = examine(model, pairs[:2])
    assert math.isnan(found.images[0].mean_iou)
    assert not math.isnan(found.images[1].mean_iou)


def test_progress_is_told_after_each_image(model, pairs):
    told = []
    examine(model, pairs, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(1, 7)]


def test_the_first_broken_image_ends_it_by_its_name(model, pairs):
    pairs[3].image.write_bytes(pairs[3].image.read_bytes()[:60])
    with pytest.raises(DataError, match=r"3\.png"):
        examine(model, pairs)
