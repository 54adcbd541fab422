"""The operations on a ScoreMap in plain torch, on full-size logits.

What the fused kernels are tested against, and what runs on devices that have none.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Integer

from perpixel.score_map import ScoreMap


def cross_entropy(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    class_weights: Float[torch.Tensor, "classes"] | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[torch.Tensor, ""]:
    """See `perpixel.kernels.cross_entropy`."""
    logits = score_map.logits()
    logits = logits if logits.dtype == torch.float64 else logits.to(torch.float32)
    weights = None if class_weights is None else class_weights.to(logits)
    loss = F.cross_entropy(
        logits,
        mask.to(torch.int64),
        weight=weights,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    if reduction == "sum":
        return loss
    labelled = mask.to(torch.int64)[mask != ignore_index]
    total = labelled.numel() if weights is None else weights[labelled].sum()
    # A batch without a label, or whose labels weigh nothing, teaches nothing; torch has 0/0.
    return loss / total if total > 0 else loss


def dice(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
) -> Float[torch.Tensor, ""]:
    """See `perpixel.kernels.dice`."""
    logits = score_map.logits()
    logits = logits if logits.dtype == torch.float64 else logits.to(torch.float32)
    truth = mask.to(torch.int64)
    # (pixels, classes), labelled pixels only.
    labelled = truth != ignore_index
    probability = logits.softmax(dim=1).movedim(1, 3)[labelled]
    truth = truth[labelled]
    own = probability.gather(1, truth[:, None])[:, 0]
    shared = torch.zeros_like(probability[:1].sum(0)).index_add(0, truth, own)
    pixels = torch.bincount(truth, minlength=score_map.classes)
    there = pixels > 0
    scores = 2 * shared[there] / (probability.sum(0)[there] + pixels[there])
    return (1 - scores).sum() / max(1, len(scores))


def hard_pixels(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    share: float,
) -> Integer[torch.Tensor, "batch H W"]:
    """See `perpixel.kernels.hard_pixels`."""
    logits = score_map.logits().detach()
    logits = logits if logits.dtype == torch.float64 else logits.to(torch.float32)
    truth = mask.to(torch.int64)
    labelled = truth != ignore_index
    label = torch.where(labelled, truth, 0)[:, None]
    others = logits.scatter(1, label, -torch.inf).logsumexp(dim=1)
    lead = logits.gather(1, label)[:, 0] - others
    known = lead[labelled].sort().values
    if not len(known):
        return mask.clone()
    threshold = known[math.ceil(share * len(known)) - 1]
    easy = ~labelled | (lead > threshold)
    return torch.where(easy, ignore_index, truth).to(mask.dtype)


def argmax(score_map: ScoreMap) -> Integer[torch.Tensor, "batch H W"]:
    """See `perpixel.kernels.argmax`."""
    winner = score_map.logits().argmax(dim=1)
    return winner.to(torch.uint8 if score_map.classes <= 256 else torch.uint16)


def winner(
    score_map: ScoreMap,
) -> tuple[Integer[torch.Tensor, "batch H W"], Float32[torch.Tensor, "batch H W"]]:
    """See `perpixel.kernels.winner`."""
    logits = score_map.logits().to(torch.float32)
    index = logits.argmax(dim=1, keepdim=True)
    probability = logits.softmax(dim=1).gather(1, index).squeeze(1)
    return index.squeeze(1).to(
        torch.uint8 if score_map.classes <= 256 else torch.uint16
    ), probability


def probabilities(
    score_map: ScoreMap, rows: range
) -> Float32[torch.Tensor, "batch classes rows W"]:
    """See `perpixel.kernels.probabilities`."""
    window = score_map.window(rows.start, 0, len(rows), score_map.size[1])
    return window.logits().to(torch.float32).softmax(dim=1)


def confusion(
    prediction: Integer[torch.Tensor, "*shape"],
    mask: Integer[torch.Tensor, "*shape"],
    *,
    classes: int,
    ignore_index: int,
) -> Int64[torch.Tensor, "classes classes"]:
    """See `perpixel.kernels.confusion`."""
    truth = mask.to(torch.int64).reshape(-1)
    labelled = truth != ignore_index
    pairs = truth[labelled] * classes + prediction.to(torch.int64).reshape(-1)[labelled]
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)
