"""The page at the server's `/`: hand in an image, look at its classes, take the mask away."""

from __future__ import annotations

from perpixel.delivery.page.building import LARGEST_BYTES, LARGEST_PIXELS, build_page, mount_page
from perpixel.delivery.page.examples import drawn_examples

__all__ = ["LARGEST_BYTES", "LARGEST_PIXELS", "build_page", "drawn_examples", "mount_page"]
