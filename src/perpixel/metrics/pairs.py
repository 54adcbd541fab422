"""The labelled pixels of a mask, each beside what was predicted there: what every score counts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64, Integer

from perpixel.labels import LabelSpace

Classes = Int64[np.ndarray, "labelled"]


def labelled_pairs(
    labels: LabelSpace,
    prediction: Integer[np.ndarray, "*shape"],
    mask: Integer[np.ndarray, "*shape"],
) -> tuple[
    Bool[np.ndarray, "*shape"], Int64[np.ndarray, "labelled"], Int64[np.ndarray, "labelled"]
]:
    """Where the mask has a label, and there the true and the predicted class, in reading order.

    Raises:
        ValueError: the two differ in shape, or a labelled pixel has a value that is no class.
    """
    if prediction.shape != mask.shape:
        raise ValueError(f"prediction {prediction.shape}, mask {mask.shape}")
    labelled = labels.labelled(mask)
    truth = mask[labelled].astype(np.int64)
    guess = prediction[labelled].astype(np.int64)
    for name, values in (("mask", truth), ("prediction", guess)):
        if values.size and not 0 <= values.min() <= values.max() < labels.classes:
            raise ValueError(f"the {name} has a value outside 0 … {labels.classes - 1}")
    return labelled, truth, guess
