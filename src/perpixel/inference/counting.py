"""Counts of predicted and true classes, by the fused kernels."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64, Integer

from perpixel import kernels
from perpixel.labels import LabelSpace

Mask = Integer[np.ndarray, "*shape"]


def confusion_counts(
    labels: LabelSpace, prediction: Integer[torch.Tensor, "*shape"], mask: Mask
) -> Int64[np.ndarray, "classes classes"]:
    """How often each class of the mask (row) was predicted as each class (column)."""
    # A mask may be read-only, as decoded; tensors cannot be.
    writable = np.require(mask, requirements="W")
    counts = kernels.confusion(
        prediction,
        torch.from_numpy(writable).to(prediction.device),
        classes=labels.classes,
        ignore_index=labels.ignore_index,
    )
    return np.asarray(counts.cpu().numpy())
