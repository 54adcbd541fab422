"""The connected regions of a mask: what labelling tools show one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int32, Integer


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one value that touch each other at their sides.

    Args:
        value: of the mask.
        top, left: where the region's box begins.
        pixels: the region within its box.
    """

    value: int
    top: int
    left: int
    pixels: Bool[np.ndarray, "h w"]

    @property
    def box_area(self) -> int:
        """Of the box. A region in a hole of another has a smaller box than that one."""
        return self.pixels.size

    def touches_border(self, size: tuple[int, int]) -> bool:
        """Whether the region reaches a side of a mask of this height and width."""
        height, width = self.pixels.shape
        ends = self.top + height == size[0] or self.left + width == size[1]
        return self.top == 0 or self.left == 0 or ends

    def outline(self) -> Int32[np.ndarray, "corners xy"]:
        """The corners (x, y) of the region's outer border, on its own pixels; holes are filled."""
        stamp = self.pixels.astype(np.uint8)
        found = cv2.findContours(
            stamp, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(self.left, self.top)
        )
        return np.asarray(found[0][0][:, 0], np.int32)


def regions(mask: Integer[np.ndarray, "H W"]) -> Iterator[Region]:
    """Every region of the mask, by value and then from the top."""
    for value in np.unique(mask).tolist():
        # Pixels that touch at a corner alone are apart: else two regions could cross there.
        count, named, boxes, _ = cv2.connectedComponentsWithStats(
            (mask == value).astype(np.uint8), connectivity=4
        )
        for number in range(1, count):
            left, top, width, height = (int(one) for one in boxes[number][:4])
            pixels = named[top : top + height, left : left + width] == number
            yield Region(int(value), top, left, pixels)
