"""Predictions go to labelling tools and come back pixel for pixel."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from perpixel.data.layouts import open_dataset
from perpixel.data.sample import read_sample
from perpixel.errors import OutputError
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import Model
from perpixel.inference.regions import regions
from perpixel.inference.results import Results, encoded

MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda size: arrays(np.uint8, size, elements=st.integers(0, 3), fill=st.nothing())
)


@settings(deadline=None)
@given(MASKS)
def test_outlines_drawn_from_large_to_small_are_the_mask(mask: np.ndarray) -> None:
    picture = Image.new("I", mask.shape[::-1], -1)
    for region in sorted(regions(mask), key=lambda region: -region.box_area):
        points = [(float(x), float(y)) for x, y in region.outline()]
        points += points[-1:] * (3 - len(points))
        ImageDraw.Draw(picture).polygon(points, fill=region.value, outline=region.value)
    np.testing.assert_array_equal(np.asarray(picture), mask)


def test_regions_touch_at_their_sides_and_say_where_they_are() -> None:
    mask = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
    found = [(one.value, one.top, one.left, one.pixels.shape) for one in regions(mask)]
    assert found == [(0, 0, 0, (3, 3)), (1, 0, 0, (1, 1)), (1, 1, 1, (1, 1))]
    middle = list(regions(mask))[2]
    assert not middle.touches_border((3, 3))
    assert middle.touches_border((2, 3))


@pytest.fixture
def photos(tmp_path: Path, picture: np.ndarray) -> Path:
    """Three images, one in a subfolder, of noise enough for many small regions."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(picture).save(folder / "a b.png")
    Image.fromarray(cv2.flip(picture, 1)).save(folder / "b.png")
    Image.fromarray(picture[::-1, :21]).save(folder / "sub" / "a b.png")
    return folder


@pytest.mark.parametrize("kind", ["coco", "labelme"])
@pytest.mark.parametrize("background", [None, "sea"])
def test_an_export_opens_again_as_the_same_masks(
    model: Model, photos: Path, tmp_path: Path, kind: str, background: str | None
) -> None:
    if background is not None:
        names = tuple("background" if name == background else name for name in model.labels.names)
        model.labels = model.labels.model_copy(update={"names": names})
    out = tmp_path / "corrected"
    results = Results(format=kind, min_confidence=0.5)
    summary = predict_folder(model, [photos], out, results=results)
    assert len(summary.done) == 3
    dataset = open_dataset(out)
    assert dataset.layout == kind
    assert dataset.labels == model.labels
    pairs = [*dataset.split("train"), *dataset.split("val")]
    assert {pair.image.resolve() for pair in pairs} == set(photos.rglob("*.png"))
    values = set()
    for pair in pairs:
        expected = model.predict(pair.image).below(0.5).mask
        sample = read_sample(pair, dataset.labels)
        np.testing.assert_array_equal(sample.mask, expected)
        values |= set(np.unique(expected).tolist())
    # The test would show nothing if pixels without a label, or most classes, did not occur.
    assert len(values) >= 4
    assert model.labels.ignore_index in values


def test_a_coco_file_holds_what_tools_expect(model: Model, photos: Path, tmp_path: Path) -> None:
    predict_folder(model, [photos], tmp_path / "out", results=Results(format="coco"))
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert files == {"annotations/instances_default.json", "classes.yaml"}
    content = json.loads((tmp_path / "out/annotations/instances_default.json").read_text())
    assert [one["file_name"] for one in content["images"]] == ["a b.png", "b.png", "sub/a b.png"]
    assert content["categories"][0] == {"id": 1, "name": "sky"}
    area = {one["id"]: one["height"] * one["width"] for one in content["images"]}
    for annotation in content["annotations"]:
        area[annotation["image_id"]] -= annotation["area"]
    assert set(area.values()) == {0}
    # Images beside the file are found by their names, without the path that we add.
    for image in content["images"]:
        del image["path"]
    (tmp_path / "out/annotations/instances_default.json").write_text(json.dumps(content))
    photos.rename(tmp_path / "out" / "images")
    pairs = open_dataset(tmp_path / "out").splits
    assert sum(map(len, pairs.values())) == 3


@pytest.mark.parametrize(
    ("kind", "file", "annotations"),
    [
        ("coco", "annotations/instances_default.json", "annotations"),
        ("labelme", "sub/a b.json", "shapes"),
    ],
)
def test_annotations_that_were_corrected_are_never_written_over(
    model: Model, photos: Path, tmp_path: Path, kind: str, file: str, annotations: str
) -> None:
    out = tmp_path / "out"
    predict_folder(model, [photos], out, results=Results(format=kind))
    written = {path: path.read_bytes() for path in out.rglob("*.*")}
    # As they were written, or saved again by a tool that keeps what it does not know.
    content = json.loads((out / file).read_text(encoding="utf-8"))
    (out / file).write_text(json.dumps(content, indent=7), encoding="utf-8")
    predict_folder(model, [photos], out, results=Results(format=kind))
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == written
    for change in (lambda: content[annotations].pop(), lambda: content.pop("perpixel")):
        change()
        (out / file).write_text(json.dumps(content), encoding="utf-8")
        before = {path: path.read_bytes() for path in out.rglob("*.*")}
        with pytest.raises(OutputError, match="annotations that were corrected"):
            predict_folder(model, [photos], out, results=Results(format=kind))
        assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    (out / file).unlink()
    (out / "classes.yaml").write_text("classes: [mine]\n", encoding="utf-8")
    with pytest.raises(OutputError, match="another list of classes"):
        predict_folder(model, [photos], out, results=Results(format=kind))
    assert not (out / file).exists()


@pytest.mark.parametrize("results", ["coco", "areas"])
def test_a_folder_that_cannot_be_made_is_known_before_the_first_image(
    model: Model, photos: Path, tmp_path: Path, results: str
) -> None:
    out, done = tmp_path / "out", []
    out.mkdir()
    (out / "annotations").write_bytes(b"a file")
    wanted = Results(
        format="coco" if results == "coco" else "png",
        areas=out / "annotations" / "areas.csv" if results == "areas" else None,
    )
    with pytest.raises(OutputError, match=r"annotations: cannot be made"):
        predict_folder(
            model, [photos], out, results=wanted, progress=lambda one, _: done.append(one)
        )
    assert done == []


@pytest.mark.parametrize("size", [(66_001, 2), (3, 65_501), (1, 200_000)])
def test_an_overlay_longer_than_a_jpeg_can_be_is_scaled_down(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(encoded(Image.new("RGB", size, (200, 30, 90)), "jpg"))) as found:
        assert max(found.size) == 65_000
        assert (found.width > found.height) == (size[0] > size[1])
        assert abs(np.asarray(found).mean((0, 1)) - (200, 30, 90)).max() < 4


def test_a_labelme_file_names_its_image_relative_to_itself(
    model: Model, photos: Path, tmp_path: Path
) -> None:
    predict_folder(model, [photos], tmp_path / "out", results=Results(format="labelme"))
    content = json.loads((tmp_path / "out/sub/a b.json").read_text())
    assert content["imagePath"] == "../../photos/sub/a b.png"
    assert (content["imageHeight"], content["imageWidth"]) == np.asarray(
        Image.open(photos / "sub" / "a b.png")
    ).shape[:2]
    assert {shape["shape_type"] for shape in content["shapes"]} == {"polygon"}
    assert min(len(shape["points"]) for shape in content["shapes"]) >= 3
