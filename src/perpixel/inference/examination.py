"""Examination: one pass over labelled images that says where a model is right, and where not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from perpixel.data.dataset import Pair
from perpixel.inference.counting import confusion_counts
from perpixel.inference.evaluation import labelled_samples
from perpixel.inference.predictor import Model
from perpixel.metrics import BoundaryBands, Calibration, Confusion, ObjectSizes, Scores
from perpixel.metrics.bootstrap import class_totals


@dataclass(frozen=True, eq=False)
class ExaminedImage:
    """What is kept of one image: no pixel of it, so that any number of images fits into memory.

    Args:
        pair: its files.
        size: (H, W).
        totals: hits, true and predicted pixels of each class, as `class_totals` gives them.
        seconds: from the decoded image to mask and confidence.
    """

    pair: Pair
    size: tuple[int, int]
    totals: Int64[np.ndarray, "3 classes"]
    seconds: float

    @property
    def mean_iou(self) -> float:
        """The mean IoU of the classes that the image's mask holds; NaN where it holds none.

        A class that is predicted alone is left out here: a single stray pixel of it would weigh as
        much as the whole street. It is still an error of the class that it was taken for.
        """
        hits, truth, predicted = self.totals
        there = truth > 0
        if not there.any():
            return float("nan")
        return float((hits[there] / (truth + predicted - hits)[there]).mean())


@dataclass(frozen=True, eq=False)
class Examination:
    """A model's work on a split, seen from several sides.

    Args:
        scores: over all images, as `evaluate` has them.
        boundary: near the edges of the truth.
        sizes: by the size of the objects.
        calibration: of the winner's probability.
        images: one by one, in the order of the split.
    """

    scores: Scores
    boundary: BoundaryBands
    sizes: ObjectSizes
    calibration: Calibration
    images: tuple[ExaminedImage, ...]


def examine(
    model: Model,
    pairs: Sequence[Pair],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Examination:
    """Predict every image once, at its own size, and count everything that a report tells.

    Args:
        model: what predicts.
        pairs: images with masks.
        progress: called with (images done, images in all) after each image.

    Raises:
        DataError, ModelError: as `evaluate` does.
    """
    labels = model.labels
    confusion = Confusion(labels)
    boundary, sizes, calibration = BoundaryBands(labels), ObjectSizes(labels), Calibration(labels)
    images: list[ExaminedImage] = []
    for sample, mask in labelled_samples(model, pairs):
        begun = time.perf_counter()
        views = model.views([sample.image], names=[str(sample.pair.image)])
        predicted = model.segmentation(sample.image, views)
        seconds = time.perf_counter() - begun
        counts = confusion_counts(labels, torch.from_numpy(predicted.mask), mask)
        confusion.add(counts)
        boundary.update(predicted.mask, mask)
        sizes.update(predicted.mask, mask)
        calibration.update(predicted.mask, predicted.confidence, mask)
        size = (mask.shape[0], mask.shape[1])
        images.append(ExaminedImage(sample.pair, size, class_totals(counts), seconds))
        if progress is not None:
            progress(len(images), len(pairs))
    return Examination(confusion.scores(), boundary, sizes, calibration, tuple(images))
