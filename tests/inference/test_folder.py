"""Prediction of many images: every file whole, every failure told, no input touched."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.tiles.tiled import model_of
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_mask
from perpixel.errors import ConfigError, DataError, OutputError
from perpixel.inference.evaluation import evaluate
from perpixel.inference.folder import predict_folder
from perpixel.inference.inputs import pixels_if_alone
from perpixel.inference.results import Results
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.inference.tiles.tiled import predict_tiled
from tests.data.rasters import write_raster


@pytest.fixture
def photos(tmp_path, picture) -> Path:
    """Three images of two kinds, one in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(picture[:20, ::-1]).save(folder / "b.jpg", quality=95)
    Image.fromarray(picture[::-1]).save(folder / "sub" / "c.png")
    return folder


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_each_image_gets_its_mask_below_the_output_folder(model, photos, tmp_path):
    summary = predict_folder(model, [photos], tmp_path / "new" / "out")
    assert files_below(tmp_path / "new" / "out") == ["a.png", "b.png", "sub/c.png"]
    assert summary.done == (photos / "a.png", photos / "b.jpg", photos / "sub" / "c.png")
    assert summary.failed == ()
    for image, mask in (("a.png", "a.png"), ("b.jpg", "b.png"), ("sub/c.png", "sub/c.png")):
        stored = read_mask(tmp_path / "new" / "out" / mask)
        np.testing.assert_array_equal(stored, model.predict(photos / image).mask)


def test_all_results_are_written_when_asked_for(model, photos, tmp_path):
    out = tmp_path / "out"
    results = Results(overlay="jpg", probabilities=True, areas=tmp_path / "tables" / "areas.csv")
    predict_folder(model, [photos / "a.png"], out, results=results)
    assert files_below(out) == ["a.npy", "a.png", "a_overlay.jpg"]
    one = model.predict(photos / "a.png")
    with Image.open(out / "a_overlay.jpg") as picture:
        assert picture.size == one.overlay().size
    probabilities = np.load(out / "a.npy")
    assert probabilities.dtype == np.float16
    assert probabilities.shape == (4, *one.mask.shape)
    np.testing.assert_allclose(probabilities.sum(0, dtype=np.float32), 1, atol=2e-3)
    np.testing.assert_allclose(probabilities.max(0), one.confidence, atol=1e-3)
    with (tmp_path / "tables" / "areas.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert header == ["file", *model.labels.names]
    assert row[0] == str(photos / "a.png")
    np.testing.assert_allclose([float(v) for v in row[1:]], list(one.areas().values()), atol=1e-6)


@pytest.mark.parametrize("streamed_bytes", [1, 5000])
def test_streamed_probabilities_are_those_of_the_softmax(
    model, photos, tmp_path, monkeypatch, streamed_bytes
):
    monkeypatch.setattr("perpixel.inference.test_time.STREAMED_BYTES", streamed_bytes)
    image = np.asarray(Image.open(photos / "a.png"))
    predict_folder(model, [photos / "a.png"], tmp_path / "out", results=Results(probabilities=True))
    with torch.inference_mode():
        views = model.views([image.transpose(2, 0, 1)], names=["a"])
        expected = views[0].logits().softmax(1)[0].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.npy"), expected, atol=1e-3)


def test_less_sure_pixels_are_unlabelled_in_mask_and_areas(model, photos, tmp_path):
    areas = tmp_path / "areas.csv"
    results = Results(min_confidence=0.6, areas=areas)
    predict_folder(model, [photos / "a.png"], tmp_path / "out", results=results)
    expected = model.predict(photos / "a.png").below(0.6)
    stored = read_mask(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(stored, expected.mask)
    assert (stored == 255).any()
    row = areas.read_text().splitlines()[1].split(",")
    np.testing.assert_allclose(
        [float(v) for v in row[1:]], list(expected.areas().values()), atol=1e-6
    )


def test_test_time_augmentation_is_that_of_predict(model, photos, tmp_path):
    predict_folder(model, [photos / "a.png"], tmp_path / "out", scales=(0.5, 1.0), flip=True)
    expected = model.predict(photos / "a.png", scales=(0.5, 1.0), flip=True)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a.png"), expected.mask)


def test_an_unreadable_image_is_reported_and_the_others_are_done(model, photos, tmp_path):
    (photos / "b.jpg").write_bytes(b"no image")
    told = []
    summary = predict_folder(
        model,
        [photos],
        tmp_path / "out",
        results=Results(areas=tmp_path / "areas.csv"),
        progress=lambda done, total: told.append((done, total)),
    )
    assert files_below(tmp_path / "out") == ["a.png", "sub/c.png"]
    assert summary.done == (photos / "a.png", photos / "sub" / "c.png")
    ((failed, message),) = summary.failed
    assert failed == photos / "b.jpg"
    assert str(photos / "b.jpg") in message
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len((tmp_path / "areas.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("name", ["d.tif", "d.jpg", "d.npy"])
@pytest.mark.parametrize("fault", ["a link to nothing", "a link to itself", "no permission"])
def test_a_file_that_cannot_be_opened_is_reported_and_the_others_are_done(
    model, photos, tmp_path, monkeypatch, name, fault
):
    refused = photos / name
    match fault:
        case "a link to nothing":
            refused.symlink_to(tmp_path / "nothing")
        case "a link to itself":
            refused.symlink_to(name)
        case "no permission":
            refused.write_bytes(b"secret")
            opened = Path.open

            # Permissions keep no file from an administrator, who may run this.
            def refuse(path: Path, *how: object, **more: object) -> object:
                if path == refused:
                    raise PermissionError(13, "Permission denied", str(path))
                return opened(path, *how, **more)

            monkeypatch.setattr(Path, "open", refuse)
    summary = predict_folder(model, [photos], tmp_path / "out")
    assert files_below(tmp_path / "out") == ["a.png", "b.png", "sub/c.png"]
    ((failed, message),) = summary.failed
    assert failed == refused
    assert f"{refused}: cannot be read (" in message
    assert "\n" not in message
    assert pixels_if_alone([refused], None) is None
    pair = Pair(refused, photos / "a.png")
    with pytest.raises(DataError, match="cannot be read"):
        evaluate(model, [pair], tiling=Tiling())


def test_an_image_with_other_bands_is_reported_and_the_others_are_done(model, photos, tmp_path):
    thin = type(model)(
        type(model.network)(4, bands=2),
        model.labels,
        type(model.preprocessing)(bands=2, mean=(0.5,) * 2, std=(0.5,) * 2),
        torch.device("cpu"),
    )
    summary = predict_folder(thin, [photos], tmp_path / "out")
    assert summary.done == ()
    assert all("expected 2 bands" in message for _, message in summary.failed)
    assert len(summary.failed) == 3


def test_no_image_is_ever_overwritten(model, photos):
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    for inputs, out in (
        ([photos], photos),
        ([photos / "a.png"], photos),
        ([f"{photos}/*.png"], photos),
        ([photos / "b.jpg", photos / "a.png"], photos / "sub" / ".."),
    ):
        with pytest.raises((OutputError, DataError)):
            predict_folder(model, inputs, out)
    with pytest.raises(OutputError, match="is one of the images"):
        predict_folder(
            model, [photos / "b.jpg"], photos / "out", results=Results(areas=photos / "b.jpg")
        )
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["A.PNG", "a.png"])
def test_no_image_is_overwritten_where_letters_case_is_no_matter(
    model, photos, tmp_path, monkeypatch, name
):
    # As on macOS and Windows, where the mask of A.PNG is A.png.
    (photos / "a.png").rename(photos / name)
    same = {photos / "A.PNG", photos / "A.png", photos / "a.png"}
    monkeypatch.setattr(Path, "samefile", lambda one, other: one in same and other in same)
    monkeypatch.chdir(photos)
    before = (photos / name).read_bytes()
    with pytest.raises(OutputError, match="is one of the images"):
        predict_folder(model, [photos / name], Path())
    assert (photos / name).read_bytes() == before


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_what_is_no_number_gets_no_class_whether_an_image_is_cut_or_not(tmp_path, picture, kind):
    model = model_of("fcn4s")
    pixels = picture.astype(np.float32) / 255
    pixels[5:30, 7:50] = np.nan
    pixels[:3, :, 0] = np.nan
    if kind == "npy":
        np.save(tmp_path / "a.npy", pixels)
    else:
        write_raster(tmp_path / "a.tif", pixels.transpose(2, 0, 1))
    areas = Results(areas=tmp_path / "areas.csv")
    for name, tiling in (("whole", Tiling("none")), ("cut", Tiling(32))):
        predict_folder(
            model, [tmp_path / f"a.{kind}"], tmp_path / name, tiling=tiling, results=areas
        )
    whole, cut = (read_mask(tmp_path / name / "a.png") for name in ("whole", "cut"))
    for mask in (whole, cut, predict_tiled(model, pixels, tile=32).mask):
        np.testing.assert_array_equal(mask == 255, np.isnan(pixels).all(2))
        assert (mask != whole).mean() < 0.01


def test_a_second_run_writes_the_same_results_again(model, photos):
    out = photos / "masks"
    first = predict_folder(model, [photos], out)
    contents = {name: (out / name).read_bytes() for name in files_below(out)}
    assert predict_folder(model, [photos], out) == first
    assert {name: (out / name).read_bytes() for name in files_below(out)} == contents


@pytest.mark.parametrize("results", [Results(), Results(overlay="png", probabilities=True)])
def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(
    model, photos, tmp_path, monkeypatch, results
):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        predict_folder(model, [photos], tmp_path / "out", results=results)
    assert files_below(tmp_path / "out") == []


def test_an_output_folder_that_cannot_be_made_is_an_error(model, photos, tmp_path):
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(OutputError, match="cannot be made"):
        predict_folder(model, [photos], tmp_path / "out")


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_confidence_beyond_0_to_1_is_refused(confidence):
    with pytest.raises(ConfigError, match="min_confidence"):
        Results(min_confidence=confidence)


def test_wrong_scales_are_refused_before_anything_is_written(model, photos, tmp_path):
    with pytest.raises(ConfigError, match="scales"):
        predict_folder(model, [photos], tmp_path / "out", scales=(0.0,))
    assert not (tmp_path / "out").exists()
