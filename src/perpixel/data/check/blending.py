"""Masks whose labels were mixed at their borders: by JPEG, by anti-aliasing, by a smooth resize."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Shaped

# JPEG spoils whole blocks of 8 pixels; anti-aliasing and resizing stay nearer to the border.
REACH = 8
# Where more of a mask is unknown than this, it is no border.
LARGEST_SHARE = 0.6


@dataclass(frozen=True)
class Blending:
    """How the borders in a mask run, along rows and columns.

    Args:
        stepped: places where a lone pixel has a value strictly between those on its two sides.
        sharp: places where the value jumps by more than one, from one area into the next.
    """

    stepped: int
    sharp: int

    @property
    def blended(self) -> bool:
        """Whether most borders pass through the values between: class numbers were averaged."""
        return self.stepped >= 16 and self.stepped > self.sharp


def near_edges(mask: Shaped[np.ndarray, "H W"], strange: Bool[np.ndarray, "H W"]) -> int | None:
    """How many of the strange pixels have two different labels within REACH pixels.

    None where too many pixels are strange for that to say anything.
    """
    if strange.mean() > LARGEST_SHARE:
        return None
    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    known = mask.astype(np.float32)
    highest = cv2.dilate(np.where(strange, np.float32(-1), known), kernel)
    lowest = cv2.erode(np.where(strange, np.float32(1 << 24), known), kernel)
    return int((strange & (highest > lowest)).sum())


def seams(mask: Shaped[np.ndarray, "H W"], ignore_index: int) -> Blending:
    """Count how the borders of a mask run; those of unlabelled pixels are left out."""
    stepped = sharp = 0
    for lines in (mask, mask.T):
        before, here, after = lines[:-2], lines[1:-1], lines[2:]
        between = ((before < here) & (here < after)) | ((before > here) & (here > after))
        flat = (before[:-1] == here[:-1]) & (here[1:] == after[1:])
        jump = flat & (np.maximum(here[1:], here[:-1]) - np.minimum(here[1:], here[:-1]) > 1)
        if np.any(between) or np.any(jump):
            labelled = lines != ignore_index
            around = labelled[:-2] & labelled[1:-1] & labelled[2:]
            stepped += int((between & around).sum())
            sharp += int((jump & labelled[1:-2] & labelled[2:-1]).sum())
    return Blending(stepped, sharp)
