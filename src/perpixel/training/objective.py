"""The objective: what a step makes smaller, from a network's scores and the masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Integer

from perpixel import kernels
from perpixel.score_map import ScoreMap


@dataclass(frozen=True)
class Objective:
    """Cross-entropy, of all labelled pixels or the hard ones; and Dice beside it.

    Every term takes the coarse scores, and none sees a pixel without a label.

    Class weights say how much is learned from a class's pixels, not how often it is predicted. What
    a weighted cross-entropy makes smallest is p·w, scaled to sum to 1, for probabilities p and
    weights w (Elkan 2001, section 2: weighted examples are as good as more of them). So it is taken
    of scores that have log w added, and the network's own scores tend to those of p: with ENet's
    weights and without this, rare classes are called up to 35 times too readily.

    Args:
        ignore_index: marks such pixels.
        class_weights: of a pixel of each class in the cross-entropy; None: 1.
        label_smoothing: share of the target spread over all classes, in the cross-entropy.
        reduction: of the cross-entropy over the pixels, "mean" or "sum".
        hard_pixels: the share of the labelled pixels that the cross-entropy is of, the hardest.
        dice: the weight of the soft Dice loss, which is of all labelled pixels.
    """

    ignore_index: int
    class_weights: Float[torch.Tensor, "classes"] | None = None
    label_smoothing: float = 0.0
    reduction: Literal["mean", "sum"] = "mean"
    hard_pixels: float = 1.0
    dice: float = 0.0

    def __call__(
        self, score_map: ScoreMap, masks: Integer[torch.Tensor, "batch H W"]
    ) -> Float[torch.Tensor, ""]:
        """The loss of a batch.

        Raises:
            DataError: on a CPU, a label is neither a class nor the ignore index.
        """
        hard = masks
        if self.hard_pixels < 1:
            hard = kernels.hard_pixels(
                score_map, masks, ignore_index=self.ignore_index, share=self.hard_pixels
            )
        loss = kernels.cross_entropy(
            self._as_weighted(score_map),
            hard,
            ignore_index=self.ignore_index,
            class_weights=self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )
        if self.dice > 0:
            loss = loss + self.dice * kernels.dice(score_map, masks, ignore_index=self.ignore_index)
        return loss

    def _as_weighted(self, score_map: ScoreMap) -> ScoreMap:
        """The scores that the weighted cross-entropy is of: interpolation keeps what is added."""
        if self.class_weights is None:
            return score_map
        # A class that weighs nothing has no pixel to learn from, and keeps its scores. The sum is
        # of 32 bits where the scores have 16.
        added = torch.where(self.class_weights > 0, self.class_weights, 1.0).log()
        return replace(score_map, scores=score_map.scores + added.view(1, -1, 1, 1))

    def weight(self, masks: Integer[torch.Tensor, "batch H W"]) -> float:
        """What the cross-entropy's mean divides by: the class weights of all labelled pixels."""
        labels = masks[masks != self.ignore_index].long()
        if self.class_weights is None:
            return float(labels.numel())
        weights = self.class_weights.to(masks.device, torch.float64)
        return float((torch.bincount(labels, minlength=len(weights)) * weights).sum())
