"""Samples drawn by class: a class, an image that has it, and one of its pixels to crop around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped


@dataclass(frozen=True)
class Balance:
    """Which images have which class, and how many samples are drawn by class instead of in turn.

    Args:
        share: of the samples of an epoch, 0 to 1.
        images: for each class the indices of the images that have it, in order; of the classes
            that occur, each is drawn as often.
    """

    share: float
    images: tuple[Int64[np.ndarray, "_"], ...]

    @classmethod
    def of(cls, share: float, pixels: Int64[np.ndarray, "images classes"]) -> Balance:
        """From the labelled pixels of each class in each image."""
        return cls(share, tuple(np.flatnonzero(column) for column in pixels.T))

    def draw(
        self, samples: int, rng: np.random.Generator
    ) -> tuple[Int64[np.ndarray, "samples"], Int64[np.ndarray, "samples"]]:
        """For each sample of an epoch the image and the class to crop around; -1 where in turn."""
        image, focus = np.full((2, samples), -1, np.int64)
        there = [label for label, images in enumerate(self.images) if len(images)]
        by_class = np.flatnonzero(rng.random(samples) < self.share) if there else ()
        for place in by_class:
            focus[place] = there[rng.integers(len(there))]
            images = self.images[focus[place]]
            image[place] = images[rng.integers(len(images))]
        return image, focus


def pixel_of(
    mask: Shaped[np.ndarray, "H W"], label: int, rng: np.random.Generator
) -> tuple[int, int] | None:
    """The row and column of one of the class's pixels, each as likely; None where it has none."""
    found = np.flatnonzero(mask == label)
    if not len(found):
        return None
    row, column = divmod(int(found[rng.integers(len(found))]), mask.shape[1])
    return row, column
