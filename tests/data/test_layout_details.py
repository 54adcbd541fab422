"""What the layouts' own formats allow, and what is said where they are broken."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from data.written import WRITERS
from data.written.broken import COCO, assert_refused, spoil_json
from data.written.small import HEIGHT, WIDTH, picture, save
from perpixel.data.check.folder import check_folder
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.division import VALIDATION_SHARE, Folds, divide
from perpixel.data.found import UNSPLIT
from perpixel.data.labelme_shapes import LabelmeMask
from perpixel.data.layouts import ade20k, open_dataset
from perpixel.data.matlab import read_field
from perpixel.errors import DataError


@pytest.mark.parametrize("count", [5, 6, 23])
def test_folds_validate_each_image_once_and_never_train_on_it(count: int, tmp_path: Path) -> None:
    pairs = tuple(Pair(tmp_path / f"{number}.png") for number in range(count))
    seen: list[Pair] = []
    for number in range(1, 6):
        splits, _ = divide(tmp_path, {UNSPLIT: pairs}, Folds(5, number))
        assert set(splits["train"]) | set(splits["val"]) == set(pairs)
        assert not set(splits["train"]) & set(splits["val"])
        seen += splits["val"]
    assert sorted(seen, key=str) == sorted(pairs, key=str)
    share, notes = divide(tmp_path, {UNSPLIT: pairs}, None)
    assert len(share["val"]) == round(VALIDATION_SHARE * count)
    assert share == divide(tmp_path, {UNSPLIT: pairs}, None)[0]
    assert "validation split" in notes[0]


def test_training_images_alone_are_divided_and_a_test_split_stays(tmp_path: Path) -> None:
    pairs = tuple(Pair(tmp_path / f"{number}.png") for number in range(10))
    splits, notes = divide(tmp_path, {"train": pairs, "test": pairs[:3]}, None)
    assert {name: len(of) for name, of in splits.items()} == {"train": 8, "val": 2, "test": 3}
    assert notes == ("2 of 10 images, drawn once for all, are the validation split",)
    with pytest.raises(DataError, match="splits of its own: train, val"):
        divide(tmp_path, {"train": pairs, "val": pairs}, Folds(2, 1))


@pytest.mark.parametrize("own", ["train", "val"])
def test_labelled_images_without_a_split_beside_those_that_have_one_are_not_dropped(
    tmp_path: Path, own: str
) -> None:
    pairs = tuple(Pair(tmp_path / f"{number}.png", tmp_path / "m.png") for number in range(6))
    splits = {own: pairs[:3], UNSPLIT: pairs[3:]}
    with pytest.raises(DataError, match=r"3 labelled images without a split, 3\.png for one"):
        divide(tmp_path, splits, None)
    both = {"train": pairs[:3], "val": pairs[3:], UNSPLIT: pairs}
    assert divide(tmp_path, both, None) == (both, ())
    splits[UNSPLIT] = tuple(Pair(pair.image) for pair in pairs[3:])
    divided, _ = divide(tmp_path, splits, None)
    assert divided[UNSPLIT] == splits[UNSPLIT]
    assert sum(len(divided.get(name, ())) for name in ("train", "val")) == 3


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_matlab_files_are_read_as_scipy_writes_them(
    compressed: bool, dtype: type, rng: np.random.Generator
) -> None:
    inner = rng.integers(0, 100, (7, 5)).astype(dtype)
    small = np.array([[1, 2]], np.uint8)
    content = {
        "first": {"text": "words", "numbers": inner, "cells": np.zeros((2, 1), object)},
        "alone": small,
    }
    file = io.BytesIO()
    scipy.io.savemat(file, content, do_compression=compressed)
    np.testing.assert_array_equal(read_field(file.getvalue(), ["first", "numbers"]), inner)
    np.testing.assert_array_equal(read_field(file.getvalue(), ["alone"]), small)
    assert read_field(file.getvalue(), ["first", "text"]) is None
    assert read_field(file.getvalue(), ["second"]) is None
    for wrong in (b"", b"no file of MATLAB's" * 20, file.getvalue()[:260]):
        with pytest.raises(ValueError, match=r"MATLAB|damaged|beyond"):
            read_field(wrong, ["first", "numbers"])


@pytest.mark.parametrize("dtype", [bool, np.uint8])  # labelme itself writes bytes of 0 and 1
def test_labelme_s_circles_rectangles_and_stamps_are_painted_in_order(
    dtype: type, tmp_path: Path
) -> None:
    stamp = io.BytesIO()
    Image.fromarray(np.eye(3, dtype=dtype)).save(stamp, "PNG")
    shapes = [
        {"label": "a", "shape_type": "rectangle", "points": [[9, 8], [2, 1]]},
        {"label": "b", "shape_type": "circle", "points": [[20, 20], [24, 20]]},
        {
            "label": "b",
            "shape_type": "mask",
            "points": [[3, 2], [5, 4]],
            "mask": base64.b64encode(stamp.getvalue()).decode(),
        },
        {"label": "a", "shape_type": None, "points": [[30, 5], [34, 5], [34, 9], [30, 9]]},
        {"label": "a", "shape_type": "point", "points": [[0, 0]]},
    ]
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 30, "imageWidth": 40}
    (tmp_path / "a.json").write_text(json.dumps(content))
    mask = LabelmeMask(tmp_path / "a.json", (("a", 1), ("b", 2))).read()
    expected = np.zeros((30, 40), int)
    expected[1:9, 2:10] = 1
    expected[5:10, 30:35] = 1
    expected[[2, 3, 4], [3, 4, 5]] = 2
    radius = np.hypot(*(np.mgrid[:30, :40] - 20))
    circle = mask == 2
    circle[[2, 3, 4], [3, 4, 5]] = False
    assert circle[radius <= 3.5].all()
    assert not circle[radius > 5].any()
    np.testing.assert_array_equal(np.where(circle, 0, mask), expected)


def test_ade20k_has_150_names() -> None:
    names = ade20k._built_in()
    assert (len(names), len(set(names))) == (150, 150)
    assert (names[0], names[12], names[149]) == ("wall", "person", "flag")


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("voc", lambda root: (root / "JPEGImages/b.jpg").unlink(), "train.txt: files that do not"),
        ("voc", lambda root: (root / "SegmentationClass/d.png").unlink(), "val.txt: 1 images with"),
        ("voc_labelmap", lambda r: (r / "labelmap.txt").write_text("sky 1"), "a line 'sky 1'"),
        ("sbd", lambda root: (root / "dataset/cls/a.mat").unlink(), "not exist: cls/a.mat"),
        (
            "cityscapes",
            lambda root: next(root.glob("gtFine/train/town/*_labelIds.png")).unlink(),
            "1 photographs without labels",
        ),
        ("ade20k", lambda r: next(r.rglob("training/a.png")).unlink(), "without a mask: a.jpg"),
        ("camvid_colours", lambda r: next(r.rglob("b_L.png")).unlink(), "without a mask: b.png"),
        ("class_masks", lambda r: [p.unlink() for p in r.rglob("b.png")], "without a mask: b.jpg"),
        ("class_masks", lambda r: (r / "images/b.jpg").unlink(), "1 masks without an image: b"),
        ("flat_binary", lambda r: (r / "masks/b_mask.png").unlink(), "without a mask: b.jpg"),
        ("coco", lambda root: (root / COCO).write_text("{"), "cannot be read"),
        ("coco", lambda root: (root / COCO).write_text("{}"), "no images, annotations, categories"),
        ("coco", lambda root: (root / "train2017/a.jpg").unlink(), "files that do not exist"),
        ("coco", spoil_json(COCO, lambda c: c["images"][1].pop("height")), "entries: images.1"),
        (
            "coco",
            spoil_json(COCO, lambda c: c["annotations"][0].update(category_id=99)),
            "of category 99, which is none",
        ),
        ("coco", spoil_json(COCO, lambda c: c["annotations"][2].pop("image_id")), "annotations.2"),
        (
            "labelme",
            spoil_json("annotations/b.json", lambda c: c["shapes"][1].pop("label")),
            "b.json: shapes.1 has no label",
        ),
        ("labelme", lambda r: (r / "photographs/b.jpg").unlink(), "files that do not exist"),
        ("labelme", lambda r: (r / "annotations/b.json").write_text("{}"), "b.json: no shapes"),
        (
            "csv",
            lambda root: (root / "m/b.png").unlink(),
            "pairs.csv: files that do not exist: m/b",
        ),
        ("csv", lambda r: (r / "pairs.csv").write_text("image,mask,split\na,b,x"), "a split 'x'"),
        ("json_lines", lambda r: (r / "pairs.jsonl").write_text("{"), "cannot be read"),
        ("huggingface", lambda r: shutil.rmtree(r / "train"), "cannot be read"),
        ("huggingface", lambda r: next(r.glob("train/*.arrow")).unlink(), "no such file"),
        ("huggingface", lambda r: next(r.glob("train/*.arrow")).write_bytes(b"x"), "no Arrow file"),
        (
            "huggingface",
            spoil_json("train/dataset_info.json", lambda c: c["features"].pop("label")),
            "the picture columns image",
        ),
        (
            "huggingface",
            spoil_json("dataset_dict.json", lambda c: c["splits"].append("extra")),
            "a split 'extra'",
        ),
    ],
)
def test_a_broken_set_is_refused_in_one_line(
    name: str, spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    assert_refused(tmp_path, name, spoil, message)


@pytest.mark.parametrize("name", ["class_masks", "labelme"])
def test_class_files_and_polygons_are_found_in_a_split_of_another_name(
    name: str, tmp_path: Path
) -> None:
    for split in ("train", "valid"):
        WRITERS[name](tmp_path / split)
        (tmp_path / split / "classes.yaml").unlink(missing_ok=True)
    splits = open_dataset(tmp_path).splits
    assert len(splits["train"]) == len(splits["val"]) > 0
    assert all(pair.image.is_relative_to(tmp_path / "valid") for pair in splits["val"])


def test_a_region_that_makes_no_sense_is_named_by_its_file(tmp_path: Path) -> None:
    WRITERS["coco"](tmp_path)
    path = tmp_path / COCO
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [1, 2]}
    path.write_text(json.dumps(content))
    pair = open_dataset(tmp_path).split("train")[0]
    with pytest.raises(DataError, match=r"instances_train2017\.json: a region that makes no sense"):
        pair.mask.read()


def test_a_place_in_a_file_where_nothing_is_is_an_error(tmp_path: Path) -> None:
    WRITERS["labelme"](tmp_path)
    pair = next(
        pair
        for pairs in open_dataset(tmp_path).splits.values()
        for pair in pairs
        if pair.image.name == "imageData"
    )
    there = read_image(pair.image)

    def missing(path: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    with pytest.MonkeyPatch.context() as windows:
        # Which says so of what is below a file.
        read = Path.read_bytes
        windows.setattr(
            Path, "read_bytes", lambda path: (missing if path == pair.image else read)(path)
        )
        np.testing.assert_array_equal(read_image(pair.image), there)
    content = json.loads(pair.image.parent.read_text())
    content["imageData"] = None
    pair.image.parent.write_text(json.dumps(content))
    with pytest.raises(DataError, match="imageData: no picture at this place"):
        read_image(pair.image)


def test_a_list_that_names_other_machines_files_gives_way_to_camvid_s_folders(
    tmp_path: Path,
) -> None:
    WRITERS["camvid_indices"](tmp_path)
    assert open_dataset(tmp_path).layout == "camvid"
    for split in ("train", "val"):
        stems = sorted(path.stem for path in (tmp_path / split).iterdir())
        lines = [f"{split}/{stem}.png {split}annot/{stem}.png\n" for stem in stems]
        (tmp_path / f"{split}.txt").write_text("".join(lines))
    (tmp_path / "classes.yaml").write_text(f"classes: [{', '.join(f'c{n}' for n in range(12))}]")
    assert open_dataset(tmp_path).layout == "lists"


def test_two_masks_of_one_image_are_refused_and_none_is_guessed(folder: Path) -> None:
    masks = folder / "train" / "masks"
    for stem, other in (("2", "2_mask"), ("3", "3_gt")):
        shutil.copy(masks / f"{stem}.png", masks / f"{other}.png")
    found = r"several masks for one image: 2\.png and 2_mask\.png for 2\.png, 3\.png and 3_gt\.png"
    with pytest.raises(DataError, match=rf"masks: {found} for 3\.png; expected one") as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)
    report = check_folder(folder)
    assert [finding.message for finding in report.of("error")] == [str(caught.value)]
    assert [look.pair.image.stem for look in report.looks["train"]] == ["0", "1", "4"]


def test_a_mask_s_ending_may_be_part_of_its_image_s_name(tmp_path: Path) -> None:
    for stem in ("a", "a_mask"):
        save(picture(0), tmp_path / "images" / f"{stem}.png")
        save(np.zeros((HEIGHT, WIDTH), np.uint8), tmp_path / "masks" / f"{stem}_mask.png")
    # "a_mask.png" is the mask of "a_mask", whose other mask then has no image.
    with pytest.raises(DataError, match="without a mask: a"):
        open_dataset(tmp_path)
