"""Counts of images that are too large to be in memory whole: predicted by tiles, and compared with
windows of their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64

from perpixel.data.dataset import Pair
from perpixel.data.mask_windows import MaskWindows
from perpixel.data.masks import other_size
from perpixel.errors import ConfigError
from perpixel.inference.counting import confusion_counts
from perpixel.inference.large.large_image import LargeImage
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import Tiling


def divided(
    model: Model,
    pairs: Sequence[Pair],
    tiling: Tiling | None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> tuple[list[Pair], list[Pair]]:
    """The pairs that fit into the memory whole, and those that are predicted by tiles.

    Raises:
        ConfigError: there are such, and other views of them are asked for.
    """
    if tiling is None:
        return list(pairs), []
    images = LargeImages(model, tiling, rasters=False, scales=scales)
    parts: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        parts[images.takes(pair.image)].append(pair)
    if parts[1] and (flip or tuple(scales) != (1.0,)):
        raise ConfigError(
            "scales",
            found=f"{parts[1][0].image} is too large for the memory, and is scored by tiles",
            expected="its own scale, not mirrored",
            mend="Leave --scales and --flip out, or allow more memory (--memory)",
        )
    return parts


def large_counts(model: Model, pair: Pair, tiling: Tiling) -> Int64[np.ndarray, "classes classes"]:
    """How often each class of the mask (row) was predicted as each class (column). Pixels that were
    not measured are not counted.

    Raises:
        DataError, ModelError, ConfigError: as `evaluate` does.
    """
    labels = model.labels
    total = np.zeros((labels.classes, labels.classes), np.int64)
    truth = MaskWindows.open(pair, labels)
    try:
        work = LargeImage.open(model, pair.image, tiling)
        try:
            if truth.size != work.plan.size:
                where = pair.mask_path or pair.image
                raise other_size(where, truth.size, work.plan.size)
            for step, masks in work.masks(range(len(work.steps))):
                for tile, predicted in zip(work.steps[step], masks, strict=True):
                    mask = truth.read(*tile.core)
                    unmeasured = ~labels.labelled(predicted)
                    if unmeasured.any():
                        mask = np.where(unmeasured, predicted, mask)
                    total += confusion_counts(labels, torch.from_numpy(predicted), mask)
        finally:
            work.source.close()
    finally:
        truth.close()
    return total
