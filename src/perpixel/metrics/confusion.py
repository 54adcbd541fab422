"""Confusion: how often each class was taken for each other, counted over a whole dataset."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Integer

from perpixel.labels import LabelSpace
from perpixel.metrics.pairs import labelled_pairs
from perpixel.metrics.scores import Scores


class Confusion:
    """Counts of (true class, predicted class) pairs of pixels, exact: int64, added up image by
    image. Scores are derived from the sum; they are never averaged over images.

    Args:
        labels: the classes, and the ignore index whose pixels are not counted.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self._counts = np.zeros((labels.classes, labels.classes), np.int64)

    @property
    def counts(self) -> Int64[np.ndarray, "classes classes"]:
        """A copy of the counts so far: rows are the truth, columns the prediction."""
        return self._counts.copy()

    def add(self, counts: Int64[np.ndarray, "classes classes"]) -> None:
        """Add counts that were made elsewhere, as by `kernels.confusion`.

        Raises:
            ValueError: they are for another number of classes, or negative.
        """
        if counts.shape != self._counts.shape:
            raise ValueError(f"counts {counts.shape}, expected {self._counts.shape}")
        if counts.min() < 0:
            raise ValueError("a count is negative")
        self._counts += counts

    def update(
        self, prediction: Integer[np.ndarray, "*shape"], mask: Integer[np.ndarray, "*shape"]
    ) -> None:
        """Count the labelled pixels of one mask.

        Args:
            prediction: a class index for every pixel; what it says where the mask has no label
                does not matter.
            mask: class indices and the ignore index.

        Raises:
            ValueError: the two differ in shape, or a labelled pixel has a value that is no class.
        """
        classes = self.labels.classes
        _, truth, guess = labelled_pairs(self.labels, prediction, mask)
        pairs = np.bincount(truth * classes + guess, minlength=classes * classes)
        self._counts += pairs.reshape(classes, classes)

    def scores(self) -> Scores:
        """The scores of everything counted so far."""
        return Scores(self.labels, self.counts)
