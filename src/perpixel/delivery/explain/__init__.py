"""Explanations: pictures of why a model says what it says, drawn from its own numbers and an image
of the user's. Every function returns a matplotlib figure."""

from __future__ import annotations

from perpixel.delivery.explain.doubt import certainty
from perpixel.delivery.explain.everything import Explanation, explain
from perpixel.delivery.explain.heat import heat_maps
from perpixel.delivery.explain.kernel_pictures import upsampling_kernels
from perpixel.delivery.explain.location import location_map
from perpixel.delivery.explain.one_pixel import pixel
from perpixel.delivery.explain.skip_levels import skips

__all__ = [
    "Explanation",
    "certainty",
    "explain",
    "heat_maps",
    "location_map",
    "pixel",
    "skips",
    "upsampling_kernels",
]
