"""Masks read by windows are what is read of them whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perpixel.data.dataset import Pair
from perpixel.data.mask_windows import MaskWindows
from perpixel.data.masks import read_classes
from perpixel.data.raster import RasterSource
from perpixel.errors import DataError
from perpixel.labels import LabelSpace
from tests.data.rasters import write_raster

LABELS = LabelSpace.of(["sky", "road", "tree"])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", ">i4", "int64", "uint32"])
def test_windows_of_a_numpy_mask_are_those_of_the_whole(
    tmp_path: Path, rng: np.random.Generator, dtype: str
) -> None:
    np.save(tmp_path / "mask.npy", rng.integers(0, 3, (23, 31)).astype(dtype))
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.npy")
    whole, strangers = read_classes(pair, LABELS)
    assert not strangers
    windows = MaskWindows.open(pair, LABELS)
    assert windows.size == (23, 31)
    np.testing.assert_array_equal(windows.read(4, 5, 11, 13), whole[4:15, 5:18])


def test_a_class_that_a_raster_calls_missing_data_is_that_class(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    stored = rng.integers(0, 3, (1, 23, 31)).astype(np.uint8)
    path = write_raster(tmp_path / "mask.tif", stored, nodata=0)
    picture = RasterSource.open(path)
    assert picture.says_what_is_missing
    picture.close()
    pair = Pair(tmp_path / "image.png", path)
    windows = MaskWindows.open(pair, LABELS)
    assert isinstance(windows.source, RasterSource)
    # The file is not asked a second time for each window.
    assert not windows.source.says_what_is_missing
    found = windows.read(4, 5, 11, 13)
    windows.close()
    whole, _ = read_classes(pair, LABELS)
    np.testing.assert_array_equal(whole, stored[0])
    np.testing.assert_array_equal(found, whole[4:15, 5:18])


def test_a_numpy_mask_of_floats_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.zeros((5, 6), np.float32))
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.npy")
    with pytest.raises(DataError, match=r"mask\.npy: float pixels"):
        MaskWindows.open(pair, LABELS)
