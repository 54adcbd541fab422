"""Calibration: whether pixels that the model is 80 % sure of are right in 80 % of cases."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer

from perpixel.labels import LabelSpace
from perpixel.metrics.pairs import labelled_pairs
from perpixel.metrics.scores import ratio

BINS = 15


class Calibration:
    """The winner's probability against how often the winner is right, in equal bins of probability.

    Guo, Pleiss, Sun and Weinberger 2017, section 2: the reliability diagram and the expected
    calibration error. Bin b of B holds probabilities from b/B up to, not including, (b+1)/B; the
    last one holds 1 too.

    Args:
        labels: the classes, and the ignore index whose pixels are not counted.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels
        self._pixels = np.zeros(BINS, np.int64)
        self._hits = np.zeros(BINS, np.int64)
        self._confidence = np.zeros(BINS, np.float64)

    @property
    def pixels(self) -> Int64[np.ndarray, "bins"]:
        """How many labelled pixels fell into each bin."""
        return self._pixels.copy()

    @property
    def accuracy(self) -> Float64[np.ndarray, "bins"]:
        """The share of each bin's pixels that are right; NaN where the bin is empty."""
        return ratio(self._hits, self._pixels)

    @property
    def confidence(self) -> Float64[np.ndarray, "bins"]:
        """The mean probability of each bin's winners; NaN where the bin is empty."""
        return ratio(self._confidence, self._pixels)

    @property
    def error(self) -> float:
        """The expected calibration error, 0 … 1: the mean over all pixels of how far their bin's
        accuracy is from its confidence; NaN where no pixel has a label."""
        total = int(self._pixels.sum())
        gaps = np.abs(self._hits - self._confidence).sum()
        return float(gaps) / total if total else math.nan

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy, −1 … 1: above 0 where the model is too sure of itself."""
        total = int(self._pixels.sum())
        return float(self._confidence.sum() - self._hits.sum()) / total if total else math.nan

    def add(self, other: Calibration) -> None:
        """Add what was counted over other images."""
        self._pixels += other._pixels
        self._hits += other._hits
        self._confidence += other._confidence

    def update(
        self,
        prediction: Integer[np.ndarray, "*shape"],
        confidence: Float32[np.ndarray, "*shape"],
        mask: Integer[np.ndarray, "*shape"],
    ) -> None:
        """Count the labelled pixels of one image.

        Args:
            prediction: the class that won.
            confidence: its probability, 0 … 1.
            mask: class indices and the ignore index.

        Raises:
            ValueError: the three differ in shape, a labelled pixel has a value that is no class, or
                a probability that is none.
        """
        labelled, truth, guess = labelled_pairs(self.labels, prediction, mask)
        if confidence.shape != mask.shape:
            raise ValueError(f"confidence {confidence.shape}, mask {mask.shape}")
        sure = confidence[labelled]
        # Written so that NaN is none either. A float32 softmax may end a rounding above 1.
        if not ((sure >= 0) & (sure <= 1 + 1e-5)).all():
            raise ValueError("a confidence is outside 0 … 1")
        limits = np.linspace(0, 1, BINS + 1, dtype=np.float32)[1:-1]
        index = np.searchsorted(limits, sure, side="right")
        self._pixels += np.bincount(index, minlength=BINS)
        self._hits += np.bincount(index[truth == guess], minlength=BINS)
        self._confidence += np.bincount(index, sure.astype(np.float64), minlength=BINS)
