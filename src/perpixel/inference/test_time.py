"""Test-time augmentation: an image seen at several scales and mirrored, its probabilities averaged.

No view's result is resized or turned back pixel by pixel: a view is a ScoreMap, and looking it up
from the pixels of the unscaled, unmirrored image is only another stride and offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Integer

from perpixel import kernels
from perpixel.errors import ConfigError
from perpixel.score_map import ScoreMap

# Probabilities are made for so many bytes' worth of rows at a time.
STREAMED_BYTES = 1 << 25


def check_scales(scales: Sequence[float]) -> None:
    """Complain about scales that no image can be seen at.

    Raises:
        ConfigError: there is none, or one is not a positive number.
    """
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise ConfigError(
            "scales",
            found=f"{list(scales)}",
            expected="at least one number above 0",
            mend="Give scales such as 0.75 1 1.25",
        )


def resized(
    images: Float32[torch.Tensor, "batch bands H W"], scale: float
) -> Float32[torch.Tensor, "batch bands h w"]:
    """The images at another scale: h = round(H · scale), at least 1; averaged where it shrinks."""
    height, width = images.shape[2:]
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    if size == (height, width):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def seen_from(score_map: ScoreMap, size: tuple[int, int]) -> ScoreMap:
    """The scores of an image that was resized, looked up from its pixels before that.

    Pixel y of H lies at (y + ½) · h / H − ½ of h, so the stride is H / h times as long.
    """
    (height, width), (stride_y, stride_x) = score_map.size, score_map.stride
    stride = (stride_y * (size[0] / height), stride_x * (size[1] / width))
    return ScoreMap(score_map.scores, stride, score_map.offset, size)


def mirrored(score_map: ScoreMap) -> ScoreMap:
    """The scores of an image that was mirrored left to right, looked up from its pixels before.

    Pixel x was at W − 1 − x: with the cells mirrored too, (x + ½) / s − ½ + (w − W / s − o).
    """
    width, cells = score_map.size[1], score_map.scores.shape[3]
    offset = cells - width / score_map.stride[1] - score_map.offset[1]
    return ScoreMap(
        score_map.scores.flip(3),
        score_map.stride,
        (score_map.offset[0], offset),
        score_map.size,
    )


def averaged_winner(
    views: Sequence[ScoreMap],
) -> tuple[Integer[torch.Tensor, "batch H W"], Float32[torch.Tensor, "batch H W"]]:
    """The class with the highest probability, averaged over the views, and that probability.

    Args:
        views: score maps of the same images, all of one size and number of classes.
    """
    if len(views) == 1:
        return kernels.winner(views[0])
    masks, confidences = [], []
    for rows in averaged_probabilities(views):
        confidence, mask = rows.max(dim=1)
        masks.append(mask.to(torch.uint8 if views[0].classes <= 256 else torch.uint16))
        confidences.append(confidence)
    return torch.cat(masks, dim=1), torch.cat(confidences, dim=1)


def averaged_argmax(views: Sequence[ScoreMap]) -> Integer[torch.Tensor, "batch H W"]:
    """The class that `averaged_winner` finds, without the probability where that is dearer."""
    return kernels.argmax(views[0]) if len(views) == 1 else averaged_winner(views)[0]


def averaged_probabilities(
    views: Sequence[ScoreMap],
) -> Iterator[Float[torch.Tensor, "batch classes rows W"]]:
    """The probabilities of all classes, averaged over the views, some rows at a time, top down."""
    (batch, classes), (height, width) = views[0].scores.shape[:2], views[0].size
    at_once = max(1, STREAMED_BYTES // (4 * batch * classes * width))
    for top in range(0, height, at_once):
        rows = range(top, min(top + at_once, height))
        total = kernels.probabilities(views[0], rows)
        for view in views[1:]:
            total = total + kernels.probabilities(view, rows)
        yield total / len(views)
