"""Boundaries: the scores of the pixels near edges, which whole-image scores hardly notice.

The plot of mean IoU by the width of the band is the trimap plot of Kohli, Ladický and Torr 2009,
section 5, and of Krähenbühl and Koltun 2011, section 5.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Int64, Integer

from perpixel.labels import LabelSpace
from perpixel.metrics.pairs import labelled_pairs
from perpixel.metrics.scores import Scores

# Pixels on each side of an edge.
WIDTHS = (1, 3, 5, 10)
# Distances are square roots of whole numbers in float32: this is less than lies between two.
ROUNDING = 1e-3


class BoundaryBands:
    """Confusion counts of the pixels that lie within a band around the edges of the truth.

    A pixel lies at an edge if the pixel above, below, left or right of it has another value in the
    mask, and in the band of width w if its centre is at most w − 1 from that of a pixel at an edge:
    w pixels on each side. The ignore index is a value like any other in finding edges, because many
    masks (PASCAL VOC's) draw it along every object's outline; its own pixels are not counted. The
    image's border is no edge.

    Args:
        labels: the classes, and the ignore index.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self._counts = np.zeros((len(WIDTHS), labels.classes, labels.classes), np.int64)

    @property
    def counts(self) -> Int64[np.ndarray, "bands classes classes"]:
        """A copy of the counts so far, for each of WIDTHS: rows are the truth."""
        return self._counts.copy()

    def add(self, other: BoundaryBands) -> None:
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
        """Count one image.

        Args:
            prediction: a class index for every pixel.
            mask: class indices and the ignore index.

        Raises:
            ValueError: the two differ in shape, or a labelled pixel has a value that is no class.
        """
        classes = self.labels.classes
        labelled, truth, guess = labelled_pairs(self.labels, prediction, mask)
        # How far each pixel is from the nearest edge: 0 at one, and far where there is none.
        distance = cv2.distanceTransform(
            (~edges(mask)).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        narrowest = np.searchsorted(np.asarray(WIDTHS) - 1 + ROUNDING, distance[labelled])
        near = narrowest < len(WIDTHS)
        codes = (narrowest[near] * classes + truth[near]) * classes + guess[near]
        counts = np.bincount(codes, minlength=self._counts.size).reshape(self._counts.shape)
        # A wider band holds the narrower ones.
        self._counts += counts.cumsum(axis=0)

    def scores(self) -> dict[int, Scores]:
        """The scores within each band, by its width in pixels."""
        return {
            width: Scores(self.labels, counts)
            for width, counts in zip(WIDTHS, self.counts, strict=True)
        }


def edges(mask: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The pixels beside, above or below which the mask has another value."""
    found = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
