"""The page's pictures: pure functions of a result and of the switches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import cv2
import matplotlib
import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image

from perpixel.delivery.explain.sheet import OPACITY, pale, resampled, shrunk
from perpixel.inference.pictures.overlay import drawn_size, painted
from perpixel.inference.segmentation import Segmentation

# Both keep their order of lightness for readers with any kind of colour vision, as in `explain`.
HEAT, CONFIDENCE = "viridis", "cividis"


def shown_size(segmentation: Segmentation) -> tuple[int, int]:
    """(h, w) in which a result's pictures are made: the image's own, or less if that is large."""
    height, width = shrunk(segmentation.image).shape[:2]
    return height, width


def overlay(segmentation: Segmentation, shown: Collection[int], opacity: float) -> Image.Image:
    """The image under the colours, borders and names of some classes.

    Args:
        segmentation: what was predicted.
        shown: the classes that are switched on; pixels of others show the image alone.
        opacity: of the colours, 0 … 1.

    Raises:
        ValueError: opacity is outside 0 … 1.
    """
    labels, picture = segmentation.labels, shrunk(segmentation.image)
    mask = resampled(segmentation.mask, picture.shape[:2]).astype(labels.mask_dtype)
    mask[~np.isin(mask, list(shown))] = labels.ignore_index
    times, text_height = drawn_size(mask.shape)
    return painted(picture, mask, labels, opacity, times, text_height)


def heat(segmentation: Segmentation, values: Float[np.ndarray, "h w"]) -> Image.Image:
    """Probabilities of a class on the pale image: dark is 0, light is 1.

    Args:
        segmentation: of the image.
        values: 0 … 1, of `shown_size`.
    """
    blend = cv2.addWeighted(
        _coloured(values, HEAT), OPACITY, pale(shrunk(segmentation.image)), 1 - OPACITY, 0.0
    )
    return _enlarged(blend)


def confidence(segmentation: Segmentation) -> Image.Image:
    """How sure the model is of each pixel: dark is 0, light is 1."""
    values = resampled(segmentation.confidence, shown_size(segmentation))
    return _enlarged(_coloured(values, CONFIDENCE))


def compared(
    segmentation: Segmentation, masks: dict[int, Integer[np.ndarray, "H W"]], opacity: float
) -> dict[int, tuple[Image.Image, float | None]]:
    """Each stride's mask over the image, and what share of the pixels it changed.

    Args:
        segmentation: of the image.
        masks: by stride, from coarse to fine.
        opacity: of the colours, 0 … 1.

    Returns:
        for each stride the picture, and the share of pixels, 0 … 1, whose class differs from the
        next coarser mask; None for the coarsest.
    """
    found: dict[int, tuple[Image.Image, float | None]] = {}
    before = None
    for stride, mask in masks.items():
        seen = replace(segmentation, mask=mask)
        changed = None if before is None else float((mask != before).mean())
        found[stride] = overlay(seen, range(seen.labels.classes), opacity), changed
        before = mask
    return found


def _coloured(values: Float[np.ndarray, "h w"], colours: str) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(matplotlib.colormaps[colours](values, bytes=True)[..., :3])


def _enlarged(picture: UInt8[np.ndarray, "h w 3"]) -> Image.Image:
    times, _ = drawn_size(picture.shape[:2])
    return Image.fromarray(picture.repeat(times, axis=0).repeat(times, axis=1))
