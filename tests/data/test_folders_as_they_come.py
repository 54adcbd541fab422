"""Folders as tools export and people leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.written import WRITERS
from data.written.small import HEIGHT, WIDTH, picture, save
from perpixel.data.layouts import open_dataset
from perpixel.data.scan import scan, scan_splits
from perpixel.errors import DataError

LISTS = Path("ImageSets/Segmentation")
APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        \xb0\xff"


def counts(root: Path) -> dict[str, int]:
    return {split: len(pairs) for split, pairs in open_dataset(root).splits.items()}


def flat(root: Path, masks: dict[str, np.ndarray]) -> None:
    for seed, (name, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{Path(name).stem}.jpg")
        save(mask, root / "masks" / name)


@pytest.mark.parametrize("names", [("Train", "Validation"), ("training", "valid")])
def test_lists_of_voc_may_have_other_names_of_the_splits(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    WRITERS["voc"](tmp_path)
    expected = counts(tmp_path)
    for before, after in zip(("train", "val"), names, strict=True):
        (tmp_path / LISTS / f"{before}.txt").rename(tmp_path / LISTS / f"{after}.txt")
    (tmp_path / LISTS / "._Test.txt").write_bytes(APPLE_DOUBLE)
    assert counts(tmp_path) == expected


def test_a_name_in_a_list_of_voc_may_have_spaces(tmp_path: Path) -> None:
    WRITERS["voc"](tmp_path)
    expected = counts(tmp_path)
    listed = tmp_path / LISTS / "train.txt"
    stem = listed.read_text(encoding="utf-8").split()[0]
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        file = tmp_path / folder / f"{stem}{suffix}"
        file.rename(file.with_name(f"my photo 1{suffix}"))
    text = listed.read_text(encoding="utf-8").replace(f"{stem}\n", "my photo 1 \r\n")
    listed.write_text(text, encoding="utf-8", newline="")
    assert counts(tmp_path) == expected


def test_lists_of_voc_of_no_known_split_are_not_picked_from(tmp_path: Path) -> None:
    WRITERS["voc"](tmp_path)
    for before, after in (("train", "first"), ("val", "second")):
        (tmp_path / LISTS / f"{before}.txt").rename(tmp_path / LISTS / f"{after}.txt")
    with pytest.raises(DataError, match=r"lists of no known split: first\.txt, second\.txt"):
        open_dataset(tmp_path)


def test_camvid_s_validation_may_have_another_name(tmp_path: Path) -> None:
    WRITERS["camvid_indices"](tmp_path)
    expected = counts(tmp_path)
    for ending in ("", "annot"):
        (tmp_path / f"val{ending}").rename(tmp_path / f"valid{ending}")
    assert counts(tmp_path) == expected


@pytest.mark.parametrize(
    ("classes", "foreground", "mend"),
    [
        ("classes: [building]\n", 255, "The masks hold 0 and 255, and 255 means no label"),
        ("classes: [a, b]\n", 0, "The masks hold 0, and 255 means no label"),
        ("", 0, "Label the pixels"),
    ],
)
def test_one_class_alone_is_nothing_to_learn(
    tmp_path: Path, classes: str, foreground: int, mend: str
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:20, 9:30] = foreground
    flat(tmp_path, {"a.png": mask, "b.png": mask})
    if classes:
        (tmp_path / "classes.yaml").write_text(classes, encoding="utf-8")
    dataset = open_dataset(tmp_path)
    with pytest.raises(DataError, match=rf"alone\. {mend}"):
        scan_splits(dataset, ("train", "val"))


@pytest.mark.parametrize("name", ["coco", "labelme", "class_masks"])
def test_numbers_of_ours_cannot_be_merged(tmp_path: Path, name: str) -> None:
    labels = WRITERS[name](tmp_path).names
    text = "classes: [background, {name: all, merge: [1, 2]}]\n"
    (tmp_path / "classes.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"lists 1, but .* have names: .*{labels[-1]}"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_another_format_under_a_tiff_s_name_is_read(tmp_path: Path, kind: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:20, 9:30] = 1
    flat(tmp_path, {"a.png": mask, "b.png": mask})
    for stem in "ab":
        (tmp_path / "images" / f"{stem}.jpg").unlink()
        photograph = Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        )
        photograph.save(tmp_path / "images" / f"{stem}.tif", kind)
    dataset = open_dataset(tmp_path)
    assert scan(dataset.split("train"), dataset.labels).pixels.tolist() == [
        HEIGHT * WIDTH - 315,
        315,
    ]


@pytest.mark.parametrize("classes", ["", "classes: [a, b]\n"])
def test_masks_that_are_all_jpegs_are_said_to_be(tmp_path: Path, classes: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    flat(tmp_path, {"a.jpg": mask, "b.jpg": mask})
    if classes:
        (tmp_path / "classes.yaml").write_text(classes, encoding="utf-8")

    def read() -> None:
        dataset = open_dataset(tmp_path)
        scan(dataset.split("train"), dataset.labels)

    with pytest.raises(DataError, match=r"masks/[ab]\.jpg.*JPEG"):
        read()


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("labelme", "annotations/._a.json"),
        ("csv", "._pairs.csv"),
        ("coco", "annotations/._instances_a.json"),
    ],
)
def test_what_macos_leaves_beside_files_is_none_of_them(
    tmp_path: Path, name: str, left: str
) -> None:
    WRITERS[name](tmp_path)
    expected = counts(tmp_path)
    (tmp_path / left).write_bytes(APPLE_DOUBLE)
    assert counts(tmp_path) == expected
