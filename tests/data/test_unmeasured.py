"""Pixels that an image says were not measured, on their way to a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data import measured
from perpixel.data.augment import Augmentation
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.loader import TrainingSamples
from perpixel.data.measured import measured_in
from perpixel.data.order import Key
from perpixel.data.sample import Sample
from perpixel.data.scan import scan
from perpixel.data.statistics import band_statistics
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


@pytest.mark.parametrize("how", ["value", "alpha", "float"])
def test_what_was_not_measured_is_counted_nowhere(tmp_path: Path, how: str) -> None:
    rng = np.random.default_rng(5)
    absent = np.zeros((17, 21), np.bool_)
    absent[:, :9] = True
    pixels = np.where(absent, 0, rng.integers(1, 256, (3, 17, 21))).astype(np.uint8)
    match how:
        case "value":
            image = write_raster(tmp_path / "image.tif", pixels, nodata=0)
        case "alpha":
            with_alpha = np.concatenate([pixels, np.where(absent, 0, 255)[None].astype(np.uint8)])
            image = write_raster(tmp_path / "image.tif", with_alpha, photometric="RGB", alpha="YES")
        case _:
            floats = np.where(absent, np.nan, pixels).astype(np.float32)
            image = write_raster(tmp_path / "image.tif", floats)
    truth = rng.integers(0, 2, (17, 21)).astype(np.uint8)
    truth[3] = 255
    truth[:, 0] = 1
    Image.fromarray(truth).save(tmp_path / "mask.png")
    pair, labels = Pair(image, tmp_path / "mask.png"), LabelSpace.of(["a", "b"])
    found = scan([pair], labels)
    assert found.pixels.tolist() == [int((truth[~absent] == index).sum()) for index in (0, 1)]
    statistics = band_statistics([pair], 3)
    np.testing.assert_allclose(statistics.mean, pixels[:, ~absent].mean(1))
    np.testing.assert_allclose(statistics.std, pixels[:, ~absent].std(1))


@pytest.mark.parametrize("bands", [1, 3])
def test_a_file_that_says_nothing_of_it_is_spared_a_second_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: int
) -> None:
    image = write_raster(tmp_path / "image.tif", np.zeros((bands, 5, 7), np.uint8))
    monkeypatch.setattr(measured, "RasterSource", None)
    assert measured_in(image, read_image(image)) is None
    image.with_name("image.tif.aux.xml").write_text("<PAMDataset></PAMDataset>", encoding="ascii")
    with pytest.raises(AttributeError, match="open"):
        measured_in(image, read_image(image))
