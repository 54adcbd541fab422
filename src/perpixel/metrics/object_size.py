"""Scores by the size of what is seen: small objects are where coarse score maps fail."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float64, Int64, Integer

from perpixel.labels import LabelSpace
from perpixel.metrics.pairs import labelled_pairs
from perpixel.metrics.scores import ratio

# An object's size is the side of the square with its area, in pixels; these are the limits between
# buckets. They are the strides of FCNs: below 32 an object has less than a cell of FCN-32s.
LIMITS = (4, 8, 16, 32, 64, 128)
BUCKETS = (
    f"< {LIMITS[0]}",
    *(f"{low}–{high}" for low, high in pairwise(LIMITS)),
    f"≥ {LIMITS[-1]}",
)
# The share of an object's pixels that must be right for it to count as found.
FOUND = 0.5

PerClassAndSize = Int64[np.ndarray, "classes buckets"]


class ObjectSizes:
    """How well objects of each size are found.

    An object is a connected region of one class in the mask, where pixels touch by a side or a
    corner; two objects of a class that touch are one. Size is √area: bucket "8–16" holds areas from
    64 up to, not including, 256. Only the truth has objects here, so a size has an accuracy (the
    share of its pixels that were found) and no IoU: a pixel that is predicted where nothing of the
    class is belongs to no object, and so to no size.

    Args:
        labels: the classes, and the ignore index, whose regions are no objects.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        # Objects, those found, their pixels, those right.
        self._counts = np.zeros((4, labels.classes, len(BUCKETS)), np.int64)

    @property
    def objects(self) -> PerClassAndSize:
        """How many objects there are."""
        return np.array(self._counts[0])

    @property
    def found(self) -> PerClassAndSize:
        """How many of them had at least half of their pixels right."""
        return np.array(self._counts[1])

    @property
    def pixels(self) -> PerClassAndSize:
        """How many pixels the objects have."""
        return np.array(self._counts[2])

    @property
    def hits(self) -> PerClassAndSize:
        """How many of these pixels are right."""
        return np.array(self._counts[3])

    @property
    def accuracy(self) -> Float64[np.ndarray, "classes buckets"]:
        """The share of the objects' pixels that are right; NaN where there is no object."""
        return ratio(self.hits, self.pixels)

    @property
    def mean_accuracy(self) -> Float64[np.ndarray, "buckets"]:
        """The mean of `accuracy` over the classes that have objects of that size."""
        accuracy, defined = self.accuracy, self.pixels > 0
        return ratio(np.where(defined, accuracy, 0.0).sum(axis=0), defined.sum(axis=0))

    @property
    def found_share(self) -> Float64[np.ndarray, "buckets"]:
        """The share of the objects of that size, of all classes, that were found."""
        return ratio(self.found.sum(axis=0), self.objects.sum(axis=0))

    def add(self, other: ObjectSizes) -> None:
        """Add what was counted over other images.

        Raises:
            ValueError: it is for other classes.
        """
        if other.labels.names != self.labels.names:
            raise ValueError("counts for other classes")
        self._counts += other._counts

    def update(
        self, prediction: Integer[np.ndarray, "H W"], mask: Integer[np.ndarray, "H W"]
    ) -> None:
        """Count the objects of one image.

        Args:
            prediction: a class index for every pixel.
            mask: class indices and the ignore index.

        Raises:
            ValueError: the two differ in shape, or a labelled pixel has a value that is no class.
        """
        _, truth, _ = labelled_pairs(self.labels, prediction, mask)
        for index in np.flatnonzero(np.bincount(truth, minlength=self.labels.classes)):
            count, regions, facts, _ = cv2.connectedComponentsWithStats(
                (mask == index).view(np.uint8), connectivity=8
            )
            areas = facts[1:, cv2.CC_STAT_AREA].astype(np.int64)
            right = np.bincount(regions[prediction == index], minlength=count)[1:]
            bucket = np.searchsorted(np.square(LIMITS), areas, side="right")
            for row, values in enumerate((None, right >= FOUND * areas, areas, right)):
                self._counts[row, index] += np.bincount(
                    bucket, values, minlength=len(BUCKETS)
                ).astype(np.int64)
