"""The gallery: images beside what was asked of the model, what it said, and where it was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from perpixel.data.dataset import Pair
from perpixel.data.sample import leave_unmeasured_out, read_sample
from perpixel.inference.examination import ExaminedImage
from perpixel.inference.pictures.display import displayable
from perpixel.inference.pictures.overlay import painted
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace

# The longer side of a panel in pixels, and the height of the names written into it.
PANEL, LETTERS = 440, 19
OPACITY = 0.7
# Vermilion of Okabe and Ito's palette: no grey, for any eye.
WRONG = (213, 94, 0)
PALE, HATCH, HATCH_EVERY = 0.4, 120, 8

Picture = UInt8[np.ndarray, "H W 3"]
Mask = Integer[np.ndarray, "H W"]
# As decoded: a picture in a panel has other sizes.
Decoded = UInt8[np.ndarray, "rows columns 3"]
DecodedMask = Integer[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Panel:
    """One picture, and in words what it shows."""

    caption: str
    alt: str
    picture: Image.Image


@dataclass(frozen=True)
class Row:
    """An image's panels, its name, and what is said of it."""

    name: str
    note: str
    panels: tuple[Panel, ...]


def ranked(images: Sequence[ExaminedImage]) -> list[ExaminedImage]:
    """The images that have a score of their own, best first."""
    scored = [image for image in images if not np.isnan(image.mean_iou)]
    return sorted(scored, key=lambda image: -image.mean_iou)


def row(models: Mapping[str, Model], pair: Pair, note: str) -> Row:
    """Image, truth and each model's prediction; for a single model its errors too.

    Args:
        models: by name, all of the same classes.
        pair: an image with its mask.
        note: what is said of the image.

    Raises:
        DataError, ModelError: the image cannot be used.
    """
    labels = next(iter(models.values())).labels
    # As it is scored.
    sample = leave_unmeasured_out(read_sample(pair, labels), labels)
    assert sample.mask is not None
    name = pair.image.name
    picture, truth = _small(displayable(sample.image)), sample.mask
    panels = [
        Panel("image", f"The image {name}", Image.fromarray(picture)),
        _coloured("truth", f"The labels of {name}", picture, truth, labels),
    ]
    for title, model in models.items():
        seen = model.preprocessing.fit_bands(sample.image, str(pair.image), sample.measured)
        guess = model.segmentation(sample.image, model.views([seen], names=[name])).mask
        caption = "prediction" if len(models) == 1 else title
        alt = f"What {title} predicts for {name}"
        panels.append(_coloured(caption, alt, picture, guess, labels))
        if len(models) == 1:
            wrong = labels.labelled(truth) & (guess != truth)
            share = wrong.sum() / max(int(labels.labelled(truth).sum()), 1)
            alt = f"Where the prediction for {name} is wrong: {100 * share:.1f} % of its pixels"
            drawn = errors(picture, _fit(truth, picture), _fit(guess, picture), labels)
            panels.append(Panel(f"errors: {100 * share:.1f} %", alt, Image.fromarray(drawn)))
    return Row(name, note, tuple(panels))


def errors(picture: Picture, truth: Mask, guess: Mask, labels: LabelSpace) -> Picture:
    """The picture in pale grey; wrong pixels vermilion, those without a label hatched."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    drawn = np.repeat((255 - PALE * (255 - grey))[..., None], 3, axis=2).astype(np.uint8)
    labelled = labels.labelled(truth)
    drawn[labelled & (truth != guess)] = WRONG
    y, x = np.indices(truth.shape)
    drawn[~labelled & ((x + y) % HATCH_EVERY < 2)] = HATCH
    return drawn


def _coloured(
    caption: str, alt: str, picture: Picture, mask: DecodedMask, labels: LabelSpace
) -> Panel:
    drawn = painted(picture, _fit(mask, picture), labels, OPACITY, 1, LETTERS)
    return Panel(caption, alt, drawn)


def _small(picture: Decoded) -> Picture:
    """The picture at the panels' size; a small one is enlarged by whole pixels."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    if longest <= PANEL:
        times = max(1, PANEL // longest)
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    size = (max(1, round(width * PANEL / longest)), max(1, round(height * PANEL / longest)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fit(mask: DecodedMask, picture: Picture) -> Mask:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
