"""The paired bootstrap: whether one model is better than another, or luckier with the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from perpixel.metrics.scores import ratio

RESAMPLES, LEVEL = 2000, 0.95
# How many resampled data sets are summed up at once.
AT_ONCE = 200

Totals = Int64[np.ndarray, "images 3 classes"]


@dataclass(frozen=True)
class Interval:
    """A difference of mean IoU, and between what its bootstrap distribution's middle 95 % lie."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def class_totals(
    counts: Int64[np.ndarray, "classes classes"],
) -> Int64[np.ndarray, "3 classes"]:
    """Of an image's confusion counts what IoU needs: hits, true and predicted pixels by class."""
    return np.stack([np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)])


def paired_bootstrap(first: Totals, second: Totals, *, seed: int = 0) -> Interval:
    """The interval for (second − first) mean IoU, had other images of this kind been drawn.

    2,000 times as many images as there are are drawn from them with replacement, the same ones for
    both models; their counts are summed, and mean IoU is derived from the sums as for the split
    itself. The interval lies between the 2.5th and 97.5th percentile of the differences (Efron and
    Tibshirani 1993, chapter 13). It knows how much images differ, and nothing of how much another
    seed of the training would.

    Args:
        first, second: `class_totals` of the same images, in the same order.
        seed: of the draws.

    Returns:
        the difference and its interval; an interval of NaN for fewer than two images.
    """
    images = len(first)
    difference = float((_mean_iou(_all(second)) - _mean_iou(_all(first)))[0])
    if images < 2:
        return Interval(difference, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    drawn = []
    for start in range(0, RESAMPLES, AT_ONCE):
        size = min(AT_ONCE, RESAMPLES - start)
        times = generator.multinomial(images, np.full(images, 1 / images), size=size)
        drawn.append(_mean_iou(_summed(times, second)) - _mean_iou(_summed(times, first)))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(np.concatenate(drawn), [tail, 1 - tail])
    return Interval(difference, float(low), float(high))


def _all(totals: Totals) -> Int64[np.ndarray, "1 3 classes"]:
    return np.asarray(totals.sum(axis=0, keepdims=True))


def _summed(
    times: Int64[np.ndarray, "draws images"], totals: Totals
) -> Int64[np.ndarray, "draws 3 classes"]:
    # In float64, which BLAS multiplies, sums are exact up to 2 ** 53 pixels.
    flat = totals.reshape(len(totals), -1).astype(np.float64)
    summed = times.astype(np.float64) @ flat
    return summed.astype(np.int64).reshape(len(times), *totals.shape[1:])


def _mean_iou(totals: Int64[np.ndarray, "draws 3 classes"]) -> Float64[np.ndarray, "draws"]:
    hits, truth, predicted = (totals[:, row] for row in range(3))
    union = truth + predicted - hits
    iou = ratio(hits, union)
    return ratio(np.where(union > 0, iou, 0.0).sum(axis=1), (union > 0).sum(axis=1))
