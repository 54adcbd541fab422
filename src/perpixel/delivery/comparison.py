"""One picture of images, several models' predictions and the truth, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageDraw

from perpixel.data.dataset import Pair
from perpixel.data.sample import Sample, read_sample
from perpixel.inference.pictures.display import displayable
from perpixel.inference.pictures.legend import font
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace

ENLARGED = 2
GAP, TITLE, LEGEND, LETTERS = 8, 62, 44, 22
PAPER, INK, FAINT = (255, 255, 255), (33, 33, 33), (105, 105, 105)
Picture = UInt8[np.ndarray, "H W 3"]


def compare(
    models: Mapping[str, Model], notes: Mapping[str, str], pairs: Sequence[Pair], rows: int
) -> Image.Image:
    """A row for each of the pairs that shows most: image, each model's prediction, truth.

    Args:
        models: by title, in the order of their columns; all with the same classes.
        notes: what is written under each model's title.
        pairs: labelled images.
        rows: how many are shown.
    """
    labels = next(iter(models.values())).labels
    samples = (read_sample(pair, labels) for pair in pairs)
    telling = sorted(samples, key=lambda sample: -_detail(_truth(sample), labels))[:rows]
    grid = [
        [
            displayable(sample.image),
            *(labels.colourise(model.predict(sample.pair.image).mask) for model in models.values()),
            labels.colourise(_truth(sample)),
        ]
        for sample in telling
    ]
    titles = [("image", ""), *((title, notes[title]) for title in models), ("truth", "")]
    return _sheet(grid, titles, labels)


def _truth(sample: Sample) -> Integer[np.ndarray, "H W"]:
    if sample.mask is None:
        raise ValueError(f"{sample.pair.image} has no mask to compare with")
    return sample.mask


def _detail(mask: Integer[np.ndarray, "H W"], labels: LabelSpace) -> float:
    """How much there is to see: the entropy of the classes' shares, which is highest where all
    are there in equal parts, times the share of pixels that lie at a border."""
    pixels = labels.pixels_by_class(mask)
    shares = pixels[pixels > 0] / max(pixels.sum(), 1)
    borders = (mask[1:] != mask[:-1]).mean() + (mask[:, 1:] != mask[:, :-1]).mean()
    return float(-(shares * np.log(shares)).sum() * borders)


def _sheet(
    grid: list[list[Picture]], titles: list[tuple[str, str]], labels: LabelSpace
) -> Image.Image:
    """The pictures in rows under their titles, and the classes' colours below."""
    height = ENLARGED * max(picture.shape[0] for row in grid for picture in row)
    width = ENLARGED * max(picture.shape[1] for row in grid for picture in row)
    size = (
        GAP + (width + GAP) * len(titles),
        TITLE + (height + GAP) * len(grid) + LEGEND,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, (title, note) in enumerate(titles):
        middle = GAP + (width + GAP) * column + width / 2
        pen.text((middle, 20), title, INK, font(LETTERS, bold=True), anchor="mm")
        pen.text((middle, 46), note, FAINT, font(LETTERS - 5), anchor="mm")
        for number, row in enumerate(grid):
            picture = Image.fromarray(row[column])
            enlarged = picture.resize(
                (ENLARGED * picture.width, ENLARGED * picture.height), Image.Resampling.NEAREST
            )
            sheet.paste(enlarged, (GAP + (width + GAP) * column, TITLE + (height + GAP) * number))
    left, middle = float(GAP), size[1] - LEGEND / 2
    for name, colour in zip(labels.names, labels.colours, strict=True):
        pen.rounded_rectangle((left, middle - 12, left + 24, middle + 12), 4, colour, FAINT)
        pen.text((left + 34, middle), name, INK, font(LETTERS - 3), anchor="lm")
        left += 34 + font(LETTERS - 3).getlength(name) + 30
    return sheet
