"""Images of any size: tiles give the whole image's mask, place and areas."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image
from safetensors.torch import load_file

from inference.large.scene import LABELS, SIZE, read_mask
from perpixel.data.raster import RasterSource
from perpixel.data.window import Window
from perpixel.errors import ConfigError, DataError, ModelError, OutputError
from perpixel.inference.large import large_image
from perpixel.inference.large.large_image import LargeImage, checksum
from perpixel.inference.large.prediction import predict_large
from perpixel.inference.large.unfinished import Unfinished
from perpixel.inference.predictor import Model, load
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.inference.tiles.tiling import Rectangle
from perpixel.labels import LabelSpace
from tests.data.rasters import UTM, write_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize("tile", [64, 100, 300, (1 << 20)])
@pytest.mark.parametrize("name", ["scene.tif", "scene.npy", "scene.png"])
def test_the_mask_of_tiles_is_the_mask_of_the_whole_image(
    tmp_path: Path, model: Model, pixels: np.ndarray, tile: int, name: str
) -> None:
    image = tmp_path / name
    if name == "scene.tif":
        write_raster(image, pixels, **UTM, tiled=True, blockxsize=64, blockysize=64)
    elif name == "scene.npy":
        np.save(image, pixels)
    else:
        Image.fromarray(pixels.transpose(1, 2, 0)).save(image)
    whole = model.predict(image)
    assert len(np.unique(whole.mask)) >= 3
    found = predict_large(model, image, tmp_path / "mask.tif", tiling=Tiling(tile))
    differing = read_mask(found.path) != whole.mask
    # Where two classes score alike, roundings decide.
    assert differing.mean() < 1e-4
    assert (found.size, found.taken_up, found.approximate) == (SIZE, 0, None)
    assert found.tiles == -(-SIZE[0] // found.tile[0]) * -(-SIZE[1] // found.tile[1])
    assert found.areas.shares() == pytest.approx(whole.areas(), abs=1e-4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mask.tif", name]


def test_place_and_areas_are_those_of_the_image(tmp_path: Path, model: Model, raster: Path) -> None:
    found = predict_large(model, raster, tmp_path / "mask.tif", tiling=Tiling(128))
    with rasterio.open(found.path) as mask, rasterio.open(raster) as image:
        assert (mask.crs, mask.transform, mask.shape) == (image.crs, image.transform, image.shape)
    counts = np.bincount(read_mask(found.path).reshape(-1), minlength=4)
    assert found.areas.pixels.tolist() == counts.tolist()
    assert found.areas.square_metres is not None
    np.testing.assert_allclose(found.areas.square_metres, counts * 0.25)
    assert found.areas.table()[0] == ["class", "pixels", "share", "hectares"]
    assert found.areas.table()[1][3] == f"{counts[0] * 0.25 / 1e4:.4f}"


def test_areas_of_degrees_follow_the_latitude(
    tmp_path: Path, model: Model, pixels: np.ndarray
) -> None:
    degrees = {"crs": "EPSG:4326", "transform": Affine(0.01, 0, 8.0, 0, -0.01, 60.0)}
    image = write_raster(tmp_path / "scene.tif", pixels, **degrees)
    found = predict_large(model, image, tmp_path / "mask.tif", tiling=Tiling(128))
    place = RasterSource.open(image).place
    assert place is not None
    rows = place.row_areas(0, SIZE[0])
    assert rows is not None
    mask = read_mask(found.path)
    expected = [((mask == index) * rows[:, None]).sum() for index in range(4)]
    assert found.areas.square_metres is not None
    np.testing.assert_allclose(found.areas.square_metres, expected, rtol=1e-9)


def test_what_was_not_measured_has_no_label_and_looks_like_the_border(
    tmp_path: Path, model: Model, pixels: np.ndarray
) -> None:
    holes = pixels.copy()
    holes[:, 40:90, 60:200] = 0
    image = write_raster(tmp_path / "scene.tif", holes, nodata=0)
    filled = holes.copy()
    fill = np.rint(model.preprocessing.fill(filled.dtype)).astype(np.uint8)
    filled[:, 40:90, 60:200] = fill[:, None, None]
    expected = model.predict(np.ascontiguousarray(filled.transpose(1, 2, 0))).mask.copy()
    expected[40:90, 60:200] = LABELS.ignore_index
    found = predict_large(model, image, tmp_path / "mask.tif", tiling=Tiling(96))
    assert (read_mask(found.path) != expected).mean() < 1e-4
    assert found.areas.pixels.sum() == SIZE[0] * SIZE[1] - 50 * 140


def test_unsure_pixels_have_no_label(tmp_path: Path, model: Model, raster: Path) -> None:
    confidence = float(np.median(model.predict(raster).confidence))
    expected = model.predict(raster).below(confidence).mask
    predict_large(
        model,
        raster,
        tmp_path / "mask.png",
        format="png",
        tiling=Tiling(96),
        min_confidence=confidence,
    )
    assert (read_mask(tmp_path / "mask.png") != expected).mean() < 1e-3
    assert 0.3 < (expected == LABELS.ignore_index).mean() < 0.7


def test_what_is_held_does_not_grow_with_the_image(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows are never larger than a tile and what it is shown, and few are on their way."""
    read: list[int] = []
    on_the_way, most = [0], [0]
    original, write = RasterSource.read, Unfinished.write

    def counted_read(self: RasterSource, *place: int) -> Window:
        window = original(self, *place)
        read.append(window.pixels.nbytes)
        if window.pixels[0].size > 1:
            on_the_way[0] += 1
            most[0] = max(most[0], on_the_way[0])
        return window

    def counted_write(self: Unfinished, step: int, masks: Any) -> None:
        time.sleep(0.002)
        write(self, step, masks)
        on_the_way[0] -= len(masks)

    monkeypatch.setattr(RasterSource, "read", counted_read)
    monkeypatch.setattr(Unfinished, "write", counted_write)
    # The batch is decided by free memory, which the test machine's is none of.
    monkeypatch.setattr(
        large_image, "choose", lambda tiler, source, *_: (tiler.plan(source.size, 64), 1)
    )
    found = []
    for height in (800, 1600):
        rng = np.random.default_rng(height)
        pixels = rng.integers(0, 256, (3, height, 100)).astype(np.uint8)
        image = write_raster(tmp_path / f"{height}.tif", pixels)
        read.clear()
        most[0] = 0
        predict_large(model, image, tmp_path / "mask.tif", tiling=Tiling(64))
        found.append((max(read), most[0]))
    assert found[0][0] == found[1][0]
    # One being read, one waiting, one in the network, one waiting to be written, one being written.
    assert found[1][1] <= 5


def large(model: Model, image: Path, out: Path, **options: Any) -> Callable[[], object]:
    return lambda: predict_large(model, image, out, tiling=Tiling(64), **options)


def test_wrong_input_leaves_nothing(
    tmp_path: Path, model: Model, raster: Path, pixels: np.ndarray
) -> None:
    wrong_bands = write_raster(tmp_path / "bands.tif", np.repeat(pixels, 2, axis=0))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(raster.read_bytes()[:100_000])
    before = set(tmp_path.iterdir())
    for image, error, told in (
        (wrong_bands, ModelError, "6 bands; expected 3 bands"),
        (cut, DataError, "truncated"),
        (tmp_path / "none.tif", DataError, "no such file"),
    ):
        with pytest.raises(error, match=told):
            predict_large(model, image, tmp_path / "mask.tif", tiling=Tiling(64))
    with pytest.raises(OutputError, match="is the image"):
        predict_large(model, raster, raster, tiling=Tiling(64))
    with pytest.raises(OutputError, match="cannot be written"):
        predict_large(model, raster, tmp_path / "none" / "mask.tif", tiling=Tiling(64))
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("tiling", "told"),
    [({"tile": 0}, "tile"), ({"halo": -1}, "halo"), ({"memory": "lots"}, "2G")],
)
def test_settings_that_make_no_sense_are_refused(tiling: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Tiling(**tiling)


def test_too_little_memory_is_said_before_anything_is_read(
    tmp_path: Path, model: Model, raster: Path
) -> None:
    for tile in ("auto", 64):
        with pytest.raises(ConfigError, match="MB more"):
            predict_large(model, raster, tmp_path / "a.tif", tiling=Tiling(tile, "50M"))
    assert not (tmp_path / "a.tif").exists()


def test_a_smaller_halo_is_told_as_approximate(tmp_path: Path, model: Model, raster: Path) -> None:
    found = predict_large(model, raster, tmp_path / "a.tif", tiling=Tiling(64, halo=8))
    assert found.approximate is not None
    assert "halo of 8" in found.approximate


def test_steps_do_not_mix_shapes_and_hold_each_tile_once(model: Model, raster: Path) -> None:
    work = LargeImage.open(model, raster, Tiling(64))
    tiles = [tile for step in work.steps for tile in step]
    assert [tile.index for tile in tiles] == list(range(len(work.plan)))
    assert all(len({tile.shape for tile in step}) == 1 for step in work.steps)
    assert max(map(len, work.steps)) > 1
    covered = np.zeros(SIZE, int)
    for tile in tiles:
        core: Rectangle = tile.core
        covered[core.top : core.top + core.height, core.left : core.left + core.width] += 1
    assert (covered == 1).all()
    work.source.close()


def test_a_checksum_is_of_weights_and_meaning(model: Model, model_file: Path) -> None:
    again = load(model_file, "cpu")
    assert checksum(again) == checksum(model)
    name = next(iter(load_file(model_file)))
    with torch.no_grad():
        again.network.get_parameter(name).view(-1)[0] += 1e-6
    assert checksum(again) != checksum(model)
    renamed = LabelSpace.of(["a", "b", "c", "d"])
    other = Model(model.network, renamed, model.preprocessing, model.device)
    assert checksum(other) != checksum(model)
