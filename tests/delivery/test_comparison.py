"""The picture that puts predictions side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data.layouts import open_dataset
from perpixel.delivery.comparison import ENLARGED, GAP, TITLE, compare
from perpixel.delivery.demo import write_scenes
from perpixel.delivery.scenes import CLASSES, HEIGHT, WIDTH, draw
from perpixel.inference.predictor import Model
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def model() -> Model:
    """A tiny random FCN-16s for the drawn classes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = FCNConfig(
        name="fcn16s", backbone="test_efficientnet", classes=CLASSES.classes, head_channels=8
    )
    return Model(build(config).eval(), CLASSES, Preprocessing(), torch.device("cpu"))


def cell(sheet: Image.Image, row: int, column: int) -> np.ndarray:
    """One picture of the sheet, at its own size."""
    top = TITLE + row * (ENLARGED * HEIGHT + GAP)
    left = GAP + column * (ENLARGED * WIDTH + GAP)
    part = sheet.crop((left, top, left + ENLARGED * WIDTH, top + ENLARGED * HEIGHT))
    return np.asarray(part)[::ENLARGED, ::ENLARGED]


def test_a_row_is_image_predictions_and_truth(tmp_path: Path, model: Model) -> None:
    write_scenes(tmp_path, 0, {"val": 1})
    pairs = open_dataset(tmp_path).split("val")
    sheet = compare({"A": model, "B": model}, {"A": "first", "B": ""}, pairs, 5)
    image, mask = draw(0, 0)
    predicted = CLASSES.colourise(model.predict(image).mask)
    assert np.array_equal(cell(sheet, 0, 0), image)
    assert np.array_equal(cell(sheet, 0, 1), predicted)
    assert np.array_equal(cell(sheet, 0, 2), predicted)
    assert np.array_equal(cell(sheet, 0, 3), CLASSES.colourise(mask))


def test_the_scenes_with_most_to_see_come_first(tmp_path: Path, model: Model) -> None:
    write_scenes(tmp_path, 0, {"val": 5})
    pairs = open_dataset(tmp_path).split("val")
    sheet = compare({"A": model}, {"A": ""}, pairs, 2)
    assert sheet.height < TITLE + 3 * ENLARGED * HEIGHT
    borders = []
    for row in range(2):
        truth = cell(sheet, row, 2).astype(int)
        borders.append((truth[1:] != truth[:-1]).any(axis=-1).mean())
    others = [(draw(0, i)[1][1:] != draw(0, i)[1][:-1]).mean() for i in range(5)]
    assert borders[0] > np.median(others)
