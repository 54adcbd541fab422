"""Operations on a ScoreMap: the one door.

None of them builds the full-size (B, C, H, W) tensor where the device has a fused kernel: Numba's
on a CPU, Triton's on CUDA (there not yet for `dice` and `hard_pixels`). Elsewhere, and for float64
scores, the reference in plain torch computes the same.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32, Int64, Integer

from perpixel.kernels import operators, reference
from perpixel.score_map import ScoreMap

__all__ = [
    "argmax",
    "confusion",
    "cross_entropy",
    "dice",
    "hard_pixels",
    "kernel_for",
    "probabilities",
    "winner",
]

_KERNELS = {"cpu": "numba", "cuda": "triton"}
_MASK_TYPES = (torch.uint8, torch.uint16, torch.int64)


def kernel_for(device: torch.device | str) -> str:
    """What computes on this device: "numba", "triton", or "reference" where there is no kernel."""
    return _KERNELS.get(torch.device(device).type, "reference")


def _is_fused(scores: torch.Tensor) -> bool:
    # Who computes in float64 wants all of its digits: to check a gradient, say.
    return kernel_for(scores.device) != "reference" and scores.dtype != torch.float64


def cross_entropy(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    class_weights: Float[torch.Tensor, "classes"] | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[torch.Tensor, ""]:
    """The pixels' cross-entropy, as `F.cross_entropy` of the upsampled scores.

    The gradient by the scores comes of the same pass; it is not differentiable once more. Computed
    in float32 from scores of 16 or 32 bits; float64 scores are left to the reference.

    Args:
        mask: a class index or the ignore index for every pixel of the score map's size.
        ignore_index: marks pixels without a label: neither loss nor gradient.
        class_weights: what a pixel of each class weighs; the mean is by weight. No gradient.
        label_smoothing: from 0 to 1, the share of a label spread over all classes.
        reduction: "mean" over the labelled pixels, or "sum" (Long et al. 2015, section 4.3: the
            unnormalised loss). 0 where no pixel has a label.

    Raises:
        DataError: on a CPU, a label is neither a class nor the ignore index. (On CUDA, where to
            look would be to wait, the loss is NaN.)
        ValueError: the mask is not of the score map's size, or an option is none of the above.
    """
    scores = score_map.scores
    _check_shape(score_map, mask)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction {reduction!r} is neither 'mean' nor 'sum'")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing {label_smoothing} is not from 0 to 1")
    if class_weights is not None and class_weights.shape != (score_map.classes,):
        raise ValueError(f"{len(class_weights)} class_weights for {score_map.classes} classes")
    if not _is_fused(scores):
        return reference.cross_entropy(
            score_map,
            mask,
            ignore_index=ignore_index,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
    loss: torch.Tensor
    loss, _ = operators.cross_entropy(
        scores,
        score_map.stride,
        score_map.offset,
        score_map.size,
        _readable(mask),
        class_weights,
        ignore_index,
        label_smoothing,
        reduction,
        torch.is_grad_enabled() and scores.requires_grad,
    )
    return loss


def dice(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
) -> Float[torch.Tensor, ""]:
    """The soft Dice loss of the upsampled scores: 1 - 2 Σ p·y / Σ (p + y), the mean over classes.

    The sums run over all labelled pixels of the batch, p is a class's softmax probability and y is
    1 where it is the label. Classes that label no pixel of the batch are left out of the mean
    (Milletari et al. 2016, section 3, without its squares). Every class counts alike, however few
    pixels it has: a term to add to the cross-entropy. Precision and gradient as there; on CUDA the
    reference computes it, on full-size logits.

    Args:
        mask: a class index or the ignore index for every pixel of the score map's size.
        ignore_index: marks pixels without a label: in no sum.

    Returns:
        the loss, from 0 to 1; 0 where no pixel has a label.

    Raises:
        DataError: on a CPU, a label is neither a class nor the ignore index.
        ValueError: the mask is not of the score map's size.
    """
    scores = score_map.scores
    _check_shape(score_map, mask)
    if kernel_for(scores.device) != "numba" or not _is_fused(scores):
        return reference.dice(score_map, mask, ignore_index=ignore_index)
    loss: torch.Tensor
    loss, _ = operators.dice(
        scores,
        score_map.stride,
        score_map.offset,
        score_map.size,
        _readable(mask),
        ignore_index,
        torch.is_grad_enabled() and scores.requires_grad,
    )
    return loss


def hard_pixels(
    score_map: ScoreMap,
    mask: Integer[torch.Tensor, "batch H W"],
    *,
    ignore_index: int,
    share: float,
) -> Integer[torch.Tensor, "batch H W"]:
    """The mask with the ignore index at all but its hardest labelled pixels. No gradient.

    Hard is where the softmax gives the pixel's own class little: a pixel's cross-entropy, without
    class weights and smoothing. To mine hard pixels, give the result to a loss in the mask's place
    (Wu, Shen and van den Hengel 2016, "High-performance semantic segmentation using very deep fully
    convolutional networks", online bootstrapping; after Shrivastava et al. 2016). On CUDA the
    reference computes it, on full-size logits.

    Args:
        mask: a class index or the ignore index for every pixel of the score map's size.
        ignore_index: marks pixels without a label: never hard. Has to fit into the mask's type.
        share: of the batch's labelled pixels, above 0 and up to 1; rounded up to a whole pixel.
            Pixels exactly as hard as the last of these are kept as well, and so are scores that
            are no number.

    Raises:
        DataError: on a CPU, a label is neither a class nor the ignore index.
        ValueError: the mask is not of the score map's size, or the share not above 0 and up to 1.
    """
    scores = score_map.scores
    _check_shape(score_map, mask)
    if not 0 < share <= 1:
        raise ValueError(f"share {share} is not above 0 and up to 1")
    limits = torch.iinfo(mask.dtype)
    if not limits.min <= ignore_index <= limits.max:
        raise ValueError(f"ignore_index {ignore_index} does not fit into a mask of {mask.dtype}")
    if kernel_for(scores.device) != "numba" or not _is_fused(scores):
        return reference.hard_pixels(score_map, mask, ignore_index=ignore_index, share=share)
    kept: torch.Tensor = operators.hard_pixels(
        scores.detach(),
        score_map.stride,
        score_map.offset,
        score_map.size,
        _readable(mask),
        ignore_index,
        share,
    )
    return kept.to(mask.dtype)


def argmax(score_map: ScoreMap) -> Integer[torch.Tensor, "batch H W"]:
    """The class of the highest score at every pixel; the first of equals, and NaN over all.

    uint8 up to 256 classes, else uint16. No gradient.
    """
    if not _is_fused(score_map.scores):
        return reference.argmax(score_map)
    mask: torch.Tensor = operators.argmax(
        score_map.scores.detach(), score_map.stride, score_map.offset, score_map.size
    )
    return mask


def winner(
    score_map: ScoreMap,
) -> tuple[Integer[torch.Tensor, "batch H W"], Float32[torch.Tensor, "batch H W"]]:
    """As `argmax`, and the winning class's softmax probability. No gradient."""
    if not _is_fused(score_map.scores):
        return reference.winner(score_map)
    mask, probability = operators.winner(
        score_map.scores.detach(), score_map.stride, score_map.offset, score_map.size
    )
    return mask, probability


def probabilities(
    score_map: ScoreMap, rows: range
) -> Float32[torch.Tensor, "batch classes rows W"]:
    """All classes' softmax probabilities on some of the image's rows, for who walks down it.

    Args:
        rows: consecutive pixel rows; what is built is (B, C, len(rows), W).
    """
    return reference.probabilities(score_map, rows)


def confusion(
    prediction: Integer[torch.Tensor, "*shape"],
    mask: Integer[torch.Tensor, "*shape"],
    *,
    classes: int,
    ignore_index: int,
) -> Int64[torch.Tensor, "classes classes"]:
    """How often each class of the mask (row) was predicted as each class (column).

    Raises:
        DataError: on a CPU, a label or prediction is no class. (On CUDA such pixels are left out.)
    """
    if kernel_for(mask.device) == "reference":
        return reference.confusion(prediction, mask, classes=classes, ignore_index=ignore_index)
    counts: torch.Tensor = operators.confusion(prediction, mask, classes, ignore_index)
    return counts


def _check_shape(score_map: ScoreMap, mask: torch.Tensor) -> None:
    images = score_map.scores.shape[0]
    if mask.shape != (images, *score_map.size):
        raise ValueError(f"mask {tuple(mask.shape)} for {images} score maps of {score_map.size}")


def _readable(mask: torch.Tensor) -> torch.Tensor:
    """The mask in a type that the kernels read."""
    return mask if mask.dtype in _MASK_TYPES else mask.to(torch.int64)
