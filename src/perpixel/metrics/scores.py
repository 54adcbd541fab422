"""Scores: the four of Long et al. 2015, section 5, and Dice, from one matrix of counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from perpixel.labels import LabelSpace

PerClass = Float64[np.ndarray, "classes"]
Ratios = Float64[np.ndarray, "*shape"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a segmentation, all in 0 … 1, from n_ij: pixels of class i predicted as j.

    With t_i = Σ_j n_ij the pixels of class i, and p_i = Σ_j n_ji those predicted as it. A score
    that would be 0/0 is NaN, and left out of means: IoU and Dice of a class that is neither in the
    masks nor predicted, accuracy of a class that is not in the masks. (A class that is predicted
    but not in the masks has IoU 0: the prediction is wrong, and the mean says so.)

    Args:
        labels: the classes.
        counts: n, rows are the truth, columns the prediction.
    """

    labels: LabelSpace
    counts: Int64[np.ndarray, "classes classes"]

    def __post_init__(self) -> None:
        if self.counts.shape != (self.labels.classes, self.labels.classes):
            raise ValueError(f"counts {self.counts.shape} for {self.labels.classes} classes")

    @property
    def pixels(self) -> Int64[np.ndarray, "classes"]:
        """t_i: labelled pixels of each class."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def iou(self) -> PerClass:
        """n_ii / (t_i + p_i − n_ii) of each class: intersection over union."""
        hits = np.diagonal(self.counts)
        return ratio(hits, self.pixels + self._predicted - hits)

    @property
    def accuracy(self) -> PerClass:
        """n_ii / t_i of each class: the share of its pixels that were found."""
        return ratio(np.diagonal(self.counts), self.pixels)

    @property
    def dice(self) -> PerClass:
        """2 n_ii / (t_i + p_i) of each class (the F1 score of its pixels)."""
        return ratio(2 * np.diagonal(self.counts), self.pixels + self._predicted)

    @property
    def pixel_accuracy(self) -> float:
        """Σ_i n_ii / Σ_i t_i: the share of all labelled pixels that are right."""
        hits, total = int(np.trace(self.counts)), int(self.counts.sum())
        return hits / total if total else math.nan

    @property
    def mean_accuracy(self) -> float:
        """The mean over classes of n_ii / t_i."""
        return _mean(self.accuracy)

    @property
    def mean_iou(self) -> float:
        """The mean over classes of n_ii / (t_i + p_i − n_ii)."""
        return _mean(self.iou)

    @property
    def frequency_weighted_iou(self) -> float:
        """Σ_i t_i IoU_i / Σ_i t_i: IoU weighted by how common each class is in the masks."""
        present = self.pixels > 0
        total = int(self.pixels.sum())
        return float(self.pixels[present] @ self.iou[present]) / total if total else math.nan

    @property
    def mean_dice(self) -> float:
        """The mean over classes of 2 n_ii / (t_i + p_i)."""
        return _mean(self.dice)

    @property
    def _predicted(self) -> Int64[np.ndarray, "classes"]:
        return np.asarray(self.counts.sum(axis=0))

    def as_json(self) -> dict[str, Any]:
        """The scores as JSON can hold them: NaN becomes None (null)."""
        columns = zip(
            self.labels.names, self.iou, self.accuracy, self.dice, self.pixels, strict=True
        )
        return {
            "mean_iou": _number(self.mean_iou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "frequency_weighted_iou": _number(self.frequency_weighted_iou),
            "mean_dice": _number(self.mean_dice),
            "classes": {
                name: {
                    "iou": _number(iou),
                    "accuracy": _number(accuracy),
                    "dice": _number(dice),
                    "pixels": int(pixels),
                }
                for name, iou, accuracy, dice, pixels in columns
            },
        }


def ratio(part: Shaped[np.ndarray, "*shape"], whole: Shaped[np.ndarray, "*shape"]) -> Ratios:
    """part / whole, and NaN where the whole is nothing."""
    undefined = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0))


def _mean(values: PerClass) -> float:
    """The mean of the values that are defined; NaN where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
