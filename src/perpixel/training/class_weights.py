"""What a pixel of each class weighs in the loss, by how many pixels the classes have."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

ClassWeights = Literal["inverse-log", "effective-number", "none"]


def weights_by_class(
    kind: ClassWeights, pixels: Int64[np.ndarray, "classes"]
) -> Float64[np.ndarray, "classes"] | None:
    """The weight of each class; None where all weigh 1.

    Args:
        kind: "inverse-log", `inverse_log`; "effective-number", `effective_number`; or "none".
        pixels: labelled pixels of each class in the training split.
    """
    match kind:
        case "inverse-log":
            return inverse_log(pixels)
        case "effective-number":
            return effective_number(pixels)
        case "none":
            return None


def inverse_log(pixels: Int64[np.ndarray, "classes"]) -> Float64[np.ndarray, "classes"]:
    """1 / ln(1.02 + share of the class): from 1.4 to 50 (Paszke et al. 2016, ENet, section 5.2)."""
    share = pixels / max(int(pixels.sum()), 1)
    return np.asarray(1 / np.log(1.02 + share))


def effective_number(pixels: Int64[np.ndarray, "classes"]) -> Float64[np.ndarray, "classes"]:
    """(1 - β) / (1 - β^n) for n pixels, scaled so that the mean is 1 (Cui et al. 2019, section 4).

    β = 1 - 1/N, where N is how many pixels there are to be had that tell something new (section 3).
    Neighbours tell nearly the same, so N is taken to be what each class would have if all had
    alike: a class of more pixels weighs hardly less for it, and a class of fewer weighs nearly in
    inverse proportion to them. A class without a pixel weighs nothing.
    """
    there = pixels > 0
    alike = max(int(pixels.sum()) / len(pixels), 2.0)
    # β^n by its logarithm: β is 1 to seven digits and n in millions.
    effective = -np.expm1(pixels * np.log1p(-1 / alike))
    weights = np.divide(1.0, effective, out=np.zeros(len(pixels)), where=there)
    return np.asarray(weights / weights[there].mean()) if there.any() else np.ones(len(pixels))
