"""The mask of one image as commands write it, whoever writes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import ClassMask
from perpixel.score_map import ScoreMap


def masked(
    model: Model,
    image: Shaped[np.ndarray, "bands H W"],
    name: str,
    scales: Sequence[float],
    flip: bool,
    min_confidence: float,
) -> tuple[ClassMask, list[ScoreMap]]:
    """The mask, and the scores that it was made from.

    Args:
        model: what predicts.
        image: as decoded.
        name: what errors call it.
        scales, flip: test-time augmentation, as in `Model.predict`.
        min_confidence: less sure pixels get the ignore index (0 … 1).

    Raises:
        ModelError: the image has other bands than the model takes.
        ConfigError: a scale is not above 0.
    """
    views = model.views([image], names=[name], scales=scales, flip=flip)
    if min_confidence > 0:
        return model.segmentation(image, views).below(min_confidence), views
    return model.class_mask(image, views), views
