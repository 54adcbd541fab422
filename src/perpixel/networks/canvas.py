"""Canvas: what the layers of a network are shown, the image and what lies around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64


@dataclass(frozen=True)
class Canvas:
    """How an image is surrounded, along rows and columns alike, before the first layer sees it.

    The canvas of an image of H rows has the smallest length `base + step · n`, n = 0, 1, …, that
    holds `before + H + after` places; what is missing comes behind the image. So the same part of
    an image meets the same phase of a network's grid, whatever the image's size.

    Args:
        before: places before the image's first pixel.
        after: places behind its last pixel, at least.
        base: the shortest canvas.
        step: from one possible length to the next.
        mirrored: around the image lies its mirror, whose first and last pixel are not repeated
            (Ronneberger et al. 2015, section 2), and otherwise zeros.
    """

    before: int = 0
    after: int = 0
    base: int = 0
    step: int = 1
    mirrored: bool = False

    def length(self, pixels: int) -> int:
        """How many places the canvas of so many pixels has."""
        # Written so that an export with free sizes can follow it: -pixels % step is shorter, but
        # then the tracer cannot prove that two levels of a network meet in equal sizes.
        beyond = pixels + self.before + self.after - self.base
        if self.base:
            beyond = max(beyond, 0)
        return (beyond + self.step - 1) // self.step * self.step + self.base

    def pad(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> Float[torch.Tensor, "batch bands rows columns"]:
        """The canvas of images of any height and width from 1 up."""
        height, width = images.shape[2:]
        if self.mirrored:
            rows = self.places(height, images.device)
            return images.index_select(2, rows).index_select(3, self.places(width, images.device))
        if self.step == 1 and not (self.base or self.before or self.after):
            return images
        below = self.length(height) - self.before - height
        right = self.length(width) - self.before - width
        return F.pad(images, (self.before, right, self.before, below))

    def places(
        self, pixels: int, device: torch.device | None = None
    ) -> Int64[torch.Tensor, "places"]:
        """Along one axis of a mirrored canvas: which pixel of the image lies at each place."""
        places = torch.arange(self.length(pixels), device=device) - self.before
        last = pixels - 1
        period = max(2 * last, 1)
        # The remainder, in a form that an export with free sizes can follow.
        places = places - torch.div(places, period, rounding_mode="floor") * period
        return torch.minimum(places, period - places).clamp(max=last)
