"""`perpixel predict` and `evaluate` on images that are cut into tiles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from cli.conftest import Command

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
MAP = {"crs": "EPSG:32632", "transform": Affine(0.5, 0.0, 5e5, 0.0, -0.5, 5.2e6)}


@pytest.fixture
def photograph(drawn: Path) -> Path:
    return sorted((drawn / "val" / "images").iterdir())[0]


@pytest.fixture
def raster(photograph: Path, tmp_path: Path) -> Path:
    pixels = np.asarray(Image.open(photograph).convert("RGB")).transpose(2, 0, 1)
    path = tmp_path / "scene.tif"
    size = {"height": pixels.shape[1], "width": pixels.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", count=3, dtype="uint8", **size, **MAP) as file:
        file.write(pixels)
    return path


def test_tiles_write_the_mask_of_the_whole_image(
    command: Command, model: Path, photograph: Path, tmp_path: Path
) -> None:
    for tile in ("none", 64):
        result = command(
            "predict", model, photograph, "--out", tmp_path / str(tile), "--tile", tile
        )
        assert result.exit_code == 0, result.output
    whole, tiles = (
        np.asarray(Image.open(tmp_path / folder / f"{photograph.stem}.png"))
        for folder in ("none", "64")
    )
    assert whole.shape == tiles.shape
    assert (whole != tiles).mean() < 1e-3


def test_a_raster_keeps_its_place_and_gets_its_hectares(
    command: Command, model: Path, raster: Path, tmp_path: Path
) -> None:
    out, areas = tmp_path / "masks", tmp_path / "areas.csv"
    result = command(
        "predict", model, raster, "--out", out, "--format", "geotiff", "--areas", areas
    )
    assert result.exit_code == 0, result.output
    with rasterio.open(out / "scene.tif") as file:
        assert file.crs == rasterio.CRS.from_epsg(32632)
        assert tuple(file.transform) == tuple(MAP["transform"])
        pixels = file.width * file.height
    assert sorted(file.name for file in out.iterdir()) == ["scene.tif", "scene_areas.csv"]
    head, *rows = (out / "scene_areas.csv").read_text().splitlines()
    assert head == "class,pixels,share,hectares"
    assert sum(int(row.split(",")[1]) for row in rows) == pixels
    hectares = sum(float(row.split(",")[3]) for row in rows)
    assert hectares == pytest.approx(pixels * 0.25 / 1e4, abs=1e-3)
    assert "hectares" in result.output
    assert str(raster) in areas.read_text()


@pytest.mark.parametrize("halo", [4, "auto"])
def test_a_smaller_halo_is_told_with_what_it_costs(
    command: Command, model: Path, raster: Path, tmp_path: Path, halo: int | str
) -> None:
    options = ("--tile", 32, "--halo", halo)
    result = command("predict", model, raster, "--out", tmp_path / "masks", *options)
    assert result.exit_code == 0, result.output
    assert "tiles are approximate" in result.output
    assert "% of the pixels differ from exact tiles" in result.output


def test_scores_of_tiles_are_near_those_of_whole_images(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    found = []
    for tile in ("none", 64):
        scores = tmp_path / f"{tile}.json"
        result = command("evaluate", model, drawn, "--tile", tile, "--json", scores)
        assert result.exit_code == 0, result.output
        found.append(json.loads(scores.read_text())["pixel_accuracy"])
    # The layers of this network that look at the whole image make tiles approximate.
    assert found[1] == pytest.approx(found[0], abs=0.05)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tile", "big"), "none, auto, or a number"),
        (("--tile", "0"), "pixels above 0"),
        (("--memory", "plenty"), "2G"),
        (("--halo", "-3"), "from 0 up"),
        (("--halo", "wide"), "auto, or a number"),
        (("--format", "geotiff", "--overlay"), "geotiff and an overlay"),
        (("--format", "geotiff", "--flip"), "mirror image"),
    ],
)
def test_options_that_make_no_sense_end_with_one_line(
    command: Command, model: Path, raster: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    result = command("predict", model, raster, "--out", tmp_path / "masks", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert not (tmp_path / "masks").exists()


def test_what_needs_an_image_whole_refuses_the_one_that_is_cut_and_does_the_others(
    command: Command, model: Path, raster: Path, photograph: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(small)
    copied = shutil.copy(photograph, tmp_path)
    out = tmp_path / "masks"
    result = command("predict", model, small, copied, "--out", out, "--overlay", "--tile", 32)
    assert result.exit_code == 1
    assert "for an overlay" in " ".join(result.output.split())
    assert sorted(file.name for file in out.iterdir()) == ["small.png", "small_overlay.jpg"]


@pytest.fixture
def gappy(raster: Path) -> Path:
    """The raster, with a quarter of it not measured."""
    with rasterio.open(raster, "r+") as file:
        pixels = file.read()
        pixels[:, : file.height // 2, : file.width // 2] = 0
        file.write(pixels)
        file.nodata = 0
    return raster


def test_a_raster_gets_one_mask_with_and_without_a_folder_and_no_overlay_unless_asked(
    command: Command, model: Path, gappy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("predict", model, gappy, "--out", "masks")
    implied = command("predict", model, gappy)
    assert (said.exit_code, implied.exit_code) == (0, 0)
    masks = [np.asarray(Image.open(f"{out}/scene.png")) for out in ("masks", "predicted")]
    assert np.array_equal(*masks)
    height, width = masks[0].shape
    assert (masks[0][: height // 2, : width // 2] == 255).all()
    assert "without an overlay: 1 of 1" in " ".join(implied.output.split())
    assert "overlay" not in said.output
    assert [file.name for file in Path("predicted").iterdir()] == ["scene.png"]


def test_without_a_folder_what_fits_gets_an_overlay_and_what_is_cut_its_mask_alone(
    command: Command, model: Path, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(small)
    result = command("predict", model, small, photograph, "--tile", 32)
    assert result.exit_code == 0, result.output
    assert "without an overlay: 1 of 2" in " ".join(result.output.split())
    names = {file.name for file in Path("predicted").iterdir()}
    assert names == {"small.png", "small_overlay.jpg", f"{photograph.stem}.png"}


def test_geotiffs_without_a_folder_go_without_the_overlay_that_nobody_asked_for(
    command: Command, model: Path, gappy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("predict", model, gappy, "--format", "geotiff")
    assert result.exit_code == 0, result.output
    assert [file.name for file in Path("predicted").iterdir()] == ["scene.tif"]
