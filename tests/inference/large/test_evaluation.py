"""Evaluation by tiles counts what evaluation of whole images counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from perpixel.data.dataset import Pair
from perpixel.data.mask_encoding import IGNORED, MaskEncoding, pack_colour
from perpixel.data.source import Outline
from perpixel.errors import ConfigError, DataError
from perpixel.inference.evaluation import count, evaluate
from perpixel.inference.examination import examine
from perpixel.inference.large.evaluation import divided, large_counts
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing
from tests.data.rasters import write_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SIZE = (150, 173)
LABELS = LabelSpace.of(["water", "field", "wood", "town"])


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(5)
    config = {"name": "fcn8s-vgg16", "classes": 4, "width": 2, "fc6": "1x1"}
    network = build(network_config(config)).eval()
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.2)
    return Model(network, LABELS, Preprocessing(), torch.device("cpu"))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 256, (3, *SIZE)).astype(np.uint8)


@pytest.fixture
def truth() -> np.ndarray:
    values = [0, 1, 2, 3, LABELS.ignore_index]
    return np.random.default_rng(3).choice(values, SIZE).astype(np.uint8)


def in_whole(model: Model, pixels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The counts by another way: the whole image's mask, and NumPy."""
    mask = model.predict(np.ascontiguousarray(pixels.transpose(1, 2, 0))).mask
    known = truth != LABELS.ignore_index
    pairs = truth[known].astype(np.int64) * 4 + mask[known]
    return np.bincount(pairs, minlength=16).reshape(4, 4)


@pytest.mark.parametrize("kind", ["png", "tif", "npy", "colours"])
def test_counts_of_tiles_are_those_of_the_whole(
    tmp_path: Path, model: Model, pixels: np.ndarray, truth: np.ndarray, kind: str
) -> None:
    image = write_raster(tmp_path / "image.tif", pixels)
    mask, encoding = tmp_path / f"mask.{'tif' if kind == 'colours' else kind}", None
    match kind:
        case "png":
            Image.fromarray(truth).save(mask)
        case "tif":
            write_raster(mask, truth[None], tiled=True, blockxsize=16, blockysize=16)
        case "npy":
            np.save(mask, truth)
        case "colours":
            write_raster(mask, LABELS.colourise(truth).transpose(2, 0, 1))
            entries = [(pack_colour(colour), index) for index, colour in enumerate(LABELS.colours)]
            encoding = MaskEncoding("colours", (*entries, (0, IGNORED)))
    pair = Pair(image, mask, encoding)
    told: list[tuple[int, int]] = []
    counts = count(
        model, [pair, pair], tiling=Tiling(64), progress=lambda *now: told.append(now)
    ).counts
    np.testing.assert_allclose(counts, 2 * in_whole(model, pixels, truth), atol=4)
    assert told == [(1, 2), (2, 2)]


def test_small_and_large_images_add_up(
    tmp_path: Path, model: Model, pixels: np.ndarray, truth: np.ndarray
) -> None:
    for name, part in (("large", slice(None)), ("small", slice(0, 40))):
        picture = pixels[:, part, : 40 if name == "small" else None]
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / f"{name}.png")
        Image.fromarray(truth[part, : 40 if name == "small" else None]).save(
            tmp_path / f"{name}_mask.png"
        )
    pairs = [Pair(tmp_path / f"{n}.png", tmp_path / f"{n}_mask.png") for n in ("small", "large")]
    tiles = count(model, pairs, tiling=Tiling(64)).counts
    np.testing.assert_allclose(tiles, count(model, pairs).counts, atol=2)


@pytest.mark.parametrize("kind", ["value", "float", "alpha", "page", "beside", "npy"])
def test_what_was_not_measured_is_not_counted_in_tiles_nor_in_the_whole(
    tmp_path: Path, model: Model, pixels: np.ndarray, truth: np.ndarray, kind: str
) -> None:
    image = tmp_path / "image.tif"
    absent = np.zeros(SIZE, np.bool_)
    absent[20:50, 30:90] = True
    match kind:
        case "value":
            write_raster(image, np.where(absent, 0, pixels), nodata=0)
        case "float":
            write_raster(image, np.where(absent, -1, pixels / np.float32(255)), nodata=-1)
        case "alpha":
            alpha = np.where(absent, 0, 255).astype(np.uint8)
            write_raster(image, np.concatenate([pixels, alpha[None]]), alpha="yes")
        case "page" | "beside":
            write_raster(image, pixels)
            with (
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "page"),
                rasterio.open(image, "r+") as file,
            ):
                file.write_mask(~absent)
        case "npy":
            image = tmp_path / "image.npy"
            np.save(image, np.where(absent, np.nan, pixels / np.float32(255)))
    mask = write_raster(tmp_path / "mask.tif", truth[None])
    expected = ((truth != LABELS.ignore_index) & ~absent).sum()
    pair = Pair(image, mask)
    tiles = large_counts(model, pair, Tiling(64))
    whole = count(model, [pair]).counts
    assert tiles.sum() == whole.sum() == expected
    np.testing.assert_allclose(tiles, whole, atol=2)
    (examined,) = examine(model, [pair]).images
    assert examined.totals[1].sum() == expected


def test_wrong_masks_and_other_views_are_refused(
    tmp_path: Path, model: Model, pixels: np.ndarray, truth: np.ndarray
) -> None:
    image = write_raster(tmp_path / "image.tif", pixels)
    for stored, told in (
        (truth[None, 1:], "150"),
        (truth[None] // 2 + 7, "no class"),
        (pixels, "3 bands"),
        (truth[None].astype(np.float32), "float32"),
    ):
        mask = write_raster(tmp_path / "mask.tif", stored)
        with pytest.raises(DataError, match=told):
            evaluate(model, [Pair(image, mask)], tiling=Tiling(64))
    mask = write_raster(tmp_path / "mask.tif", truth[None])
    with pytest.raises(ConfigError, match="--flip"):
        evaluate(model, [Pair(image, mask)], tiling=Tiling(64), flip=True)


def test_an_image_is_as_large_as_its_largest_scale_shows_it(model: Model, tmp_path: Path) -> None:
    found = Outline((1000, 1000), 3, np.dtype(np.uint8))
    tiling = Tiling(memory="6G")
    assert not LargeImages(model, tiling, scales=(0.5, 1.0)).too_large(found)
    assert LargeImages(model, tiling, scales=(0.5, 100.0)).too_large(found)
    Image.new("RGB", (1000, 1000)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="too large for the memory"):
        divided(model, [Pair(tmp_path / "a.png")], tiling, (1.0, 100.0))
