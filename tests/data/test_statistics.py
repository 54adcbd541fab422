"""Statistics of bands against NumPy's over all pixels at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data import statistics
from perpixel.data.dataset import Pair
from perpixel.data.statistics import BandStatistics, band_statistics, preprocessing_from
from perpixel.errors import DataError


def saved(folder: Path, images: list[np.ndarray]) -> list[Pair]:
    for number, image in enumerate(images):
        np.save(folder / f"{number}.npy", image)
    return [Pair(folder / f"{number}.npy") for number in range(len(images))]


def images_of(rng: np.random.Generator, dtype: str, bands: int = 5) -> list[np.ndarray]:
    level = rng.random((bands, 1, 1)) * 200
    sizes = [(11, 13), (7, 29), (12, 12)]
    return [
        (level + rng.normal(0, 20, (bands, *size))).clip(0, 255).astype(dtype) for size in sizes
    ]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_they_are_those_of_all_pixels_together(
    tmp_path: Path, rng: np.random.Generator, dtype: str
) -> None:
    images = images_of(rng, dtype)
    seen = []
    found = band_statistics(saved(tmp_path, images), 5, lambda *done: seen.append(done))
    pixels = np.concatenate([image.reshape(5, -1) for image in images], axis=1).astype(np.float64)
    np.testing.assert_allclose(found.mean, pixels.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(1), rtol=1e-12)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_small_variation_about_a_large_mean_keeps_its_digits(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    images = [(1e6 + rng.integers(0, 3, (1, 9, 10))).astype(np.float32) for _ in range(4)]
    found = band_statistics(saved(tmp_path, images), 1)
    np.testing.assert_allclose(found.std, np.stack(images).astype(np.float64).std(), rtol=1e-9)


def test_pixels_without_data_are_in_no_statistic(tmp_path: Path, rng: np.random.Generator) -> None:
    images = images_of(rng, "f4")
    images[0][0] = np.nan
    images[1][2, 3:5] = np.nan
    found = band_statistics(saved(tmp_path, images), 5)
    pixels = np.concatenate([image.reshape(5, -1) for image in images], axis=1).astype(np.float64)
    np.testing.assert_allclose(found.mean, np.nanmean(pixels, 1))
    np.testing.assert_allclose(found.std, np.nanstd(pixels, 1))
    grey = rng.integers(1, 200, (9, 10), np.uint8)
    grey[:4] = 0
    Image.fromarray(grey).save(tmp_path / "a.tif", tiffinfo={42113: "0"})
    assert band_statistics([Pair(tmp_path / "a.tif")], 1).mean == grey[4:].mean()


def test_a_band_that_nobody_measured_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    images = images_of(rng, "f4")
    for image in images:
        image[3] = np.nan
    with pytest.raises(DataError, match="no data in band 4"):
        band_statistics(saved(tmp_path, images), 5)


def test_grey_images_count_as_what_they_are_converted_to(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    colour, grey = rng.integers(0, 256, (3, 8, 9), np.uint8), rng.integers(0, 256, (8, 9), np.uint8)
    found = band_statistics(saved(tmp_path, [colour, grey]), 3)
    pixels = np.concatenate([colour, np.repeat(grey[None], 3, 0)], axis=1)
    np.testing.assert_allclose(found.mean, pixels.mean((1, 2)))


def test_of_many_images_some_are_read(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MOST_IMAGES", 3)
    images = [np.full((1, 4, 5), value, np.uint8) for value in range(7)]
    found = band_statistics(saved(tmp_path, images), 1)
    assert found.mean == np.mean([0, 3, 6])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_the_preprocessing_made_of_them_gives_mean_0_and_deviation_1(
    tmp_path: Path, rng: np.random.Generator, dtype: str
) -> None:
    images = [image[:, :7, :12] for image in images_of(rng, dtype)]
    images = [np.concatenate([image, image[:1] * 0 + 9]) for image in images]
    found = band_statistics(saved(tmp_path, images), 6)
    prepared = preprocessing_from(found, np.dtype(dtype), "none")
    assert prepared.conversion == "none"
    values = prepared(torch.from_numpy(np.stack(images))).double()
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(6).double(), atol=1e-4, rtol=0)
    deviation = values.std((0, 2, 3), correction=0)
    # The last band is the same everywhere.
    expected = torch.tensor([1.0] * 5 + [0.0]).double()
    torch.testing.assert_close(deviation, expected, atol=1e-4, rtol=0)


def test_nothing_joined_with_something_is_that() -> None:
    nothing = BandStatistics.of(np.full((2, 3, 4), np.nan, np.float32))
    something = BandStatistics.of(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    joined = nothing.joined(something)
    np.testing.assert_allclose(joined.mean, something.mean)
    np.testing.assert_allclose(joined.std, something.std)
    assert np.isnan(nothing.joined(nothing).mean).all()
