"""Pixels that an image says were not measured, on their way to a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data import source
from perpixel.data.augment import Augmentation
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.loader import TrainingSamples
from perpixel.data.order import Key
from perpixel.data.sample import Sample
from perpixel.data.source import measured_in
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from tests.data.rasters import write_raster


def test_what_was_not_measured_is_nothing_to_learn_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    absent = np.zeros((17, 21), np.bool_)
    absent[3:9, 5:] = True
    pixels = np.where(absent, 0, rng.integers(1, 256, (3, 17, 21))).astype(np.uint8)
    image = write_raster(tmp_path / "image.tif", pixels, nodata=0)
    truth = rng.integers(0, 2, (17, 21)).astype(np.uint8)
    Image.fromarray(truth).save(tmp_path / "mask.png")
    labels, preprocessing = LabelSpace.of(["a", "b"]), Preprocessing()
    still = Augmentation(
        scale=(1, 1), flip=0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0
    )
    pair = Pair(image, tmp_path / "mask.png")
    samples = TrainingSamples([pair], labels, still, preprocessing, seed=0)
    for _ in range(2):  # decoded, and kept
        sample = samples[Key(0, 0, 0)]
        assert isinstance(sample, Sample)
        assert sample.mask is not None
        np.testing.assert_array_equal(sample.mask, np.where(absent, labels.ignore_index, truth))
        fill = np.rint(preprocessing.fill(np.dtype(np.uint8)))
        assert (sample.image[:, absent] == fill[:, None]).all()
        np.testing.assert_array_equal(sample.image[:, ~absent], pixels[:, ~absent])


@pytest.mark.parametrize("bands", [1, 3])
def test_a_file_that_says_nothing_of_it_is_spared_a_second_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: int
) -> None:
    image = write_raster(tmp_path / "image.tif", np.zeros((bands, 5, 7), np.uint8))
    monkeypatch.setattr(source, "RasterSource", None)
    assert measured_in(image, read_image(image)) is None
    image.with_name("image.tif.aux.xml").write_text("<PAMDataset></PAMDataset>", encoding="ascii")
    with pytest.raises(AttributeError, match="open"):
        measured_in(image, read_image(image))
