"""How an image of any type and number of bands is shown to an eye."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt8

# Outliers (dead pixels, reflections) must not decide how bright everything else is shown.
DARKEST, BRIGHTEST = 2.0, 98.0
# Enough values to know the percentiles of an image of any size.
SAMPLED = 1_000_000


def displayable(image: Shaped[np.ndarray, "bands H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """The image as 8-bit RGB: its first three bands, or its first one as grey.

    8-bit images, and float images between 0 and 1, are shown as they are. Others seldom use the
    whole range of their type: they are stretched between their 2nd and 98th percentile, all bands
    alike, so that colours stay.
    """
    bands = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    picture = np.moveaxis(bands, 0, -1)
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    values = np.nan_to_num(picture.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if image.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
        low, high = 0.0, 1.0
    else:
        sample = values.reshape(-1)[:: max(1, values.size // SAMPLED)]
        low, high = (float(value) for value in np.percentile(sample, [DARKEST, BRIGHTEST]))
    shown = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.asarray(np.rint(shown.clip(0, 255)), np.uint8)
