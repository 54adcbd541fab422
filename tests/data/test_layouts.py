from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from perpixel.data.check.folder import check, check_folder
from perpixel.data.dataset import Pair
from perpixel.data.layouts import open_dataset
from perpixel.errors import DataError


def refused(root: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(root)
    assert "\n" not in str(caught.value)


def write_lists(folder: Path, train: str) -> None:
    (folder / "train.txt").write_text(train)


def test_split_folders_pair_files_by_stem(folder: Path) -> None:
    masks = folder / "train" / "masks"
    Image.open(masks / "3.png").save(masks / "3.tif")
    (masks / "3.png").unlink()
    (folder / "train" / "images" / "notes.txt").write_text("no image")
    (folder / "train" / "images" / ".hidden.png").write_text("no image")
    dataset = open_dataset(folder)
    assert list(dataset.splits) == ["train", "val"]
    assert dataset.labels.names == ("sky", "road", "tree")
    pairs = dataset.split("train")
    assert [pair.image.name for pair in pairs] == [f"{n}.png" for n in range(5)]
    assert pairs[3] == Pair(folder / "train" / "images" / "3.png", masks / "3.tif")


def test_split_without_masks_folder_is_unlabelled(folder: Path) -> None:
    (folder / "val").rename(folder / "test")
    for mask in (folder / "test" / "masks").iterdir():
        mask.unlink()
    (folder / "test" / "masks").rmdir()
    assert [pair.mask for pair in open_dataset(folder).split("test")] == [None, None]


@pytest.mark.parametrize("name", ["valid", "validation", "dev"])
def test_the_validation_split_is_known_by_its_other_names(folder: Path, name: str) -> None:
    expected = [pair.image.name for pair in open_dataset(folder).split("val")]
    (folder / "val").rename(folder / name)
    dataset = open_dataset(folder)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 5, "val": 2}
    assert [pair.image for pair in dataset.split("val")] == [
        folder / name / "images" / file for file in expected
    ]
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for split in ("train", name):
            (folder / split / kind).rename(folder / kind / split)
    turned = open_dataset(folder)
    assert turned.split("val")[0].image == folder / "images" / name / expected[0]
    write_lists(folder, "".join(f"images/train/{n}.png masks/train/{n}.png\n" for n in range(5)))
    (folder / f"{name}.txt").write_text(f"images/{name}/1.png masks/{name}/1.png\n")
    listed = open_dataset(folder)
    assert listed.layout == "lists"
    assert listed.split("val") == (turned.split("val")[1],)


def test_two_names_of_one_split_are_refused(folder: Path) -> None:
    (folder / "valid" / "images").mkdir(parents=True)
    refused(folder, "val and valid, which are names of the same split; expected one of")
    report = check_folder(folder)
    assert [finding.found for finding in report.findings] == [
        "val and valid, which are names of the same split"
    ]
    for name in ("valid", "validation"):
        (folder / f"{name}.txt").write_text("")
    refused(folder, "validation and valid, which are names of the same split")


def test_list_files_give_pairs_in_their_order(folder: Path) -> None:
    spaced = folder / "val" / "images" / "a b.png"
    (folder / "val" / "images" / "0.png").rename(spaced)
    (folder / "val.txt").write_text("val/images/1.png val/masks/1.png")
    write_lists(
        folder,
        "train/images/2.png  train/masks/2.png\n\ntrain/images/0.png\n"
        "val/images/a b.png\tval/masks/0.png\n",
    )
    assert open_dataset(folder).splits == {
        "train": (
            Pair(folder / "train/images/2.png", folder / "train/masks/2.png"),
            Pair(folder / "train/images/0.png"),
            Pair(spaced, folder / "val/masks/0.png"),
        ),
        "val": (Pair(folder / "val/images/1.png", folder / "val/masks/1.png"),),
    }


def test_list_of_missing_files_names_ten_of_them_and_their_lines(folder: Path) -> None:
    write_lists(folder, "\n".join(f"no/{n}.png train/masks/0.png" for n in range(12)))
    refused(folder, r"train\.txt: files that do not exist: no/0\.png \(line 1\), .* and 2 more")


@pytest.mark.parametrize("kind", ["list", "table"])
def test_absolute_and_relative_paths_may_be_mixed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    files = [(f"train/images/{n}.png", f"train/masks/{n}.png") for n in range(5)]
    files[1:3] = [(str(folder / image), str(folder / mask)) for image, mask in files[1:3]]
    if kind == "list":
        write_lists(folder, "".join(f"{image}\t{mask}\n" for image, mask in files))
    else:
        rows = "".join(f"{image},{mask}\n" for image, mask in files)
        (folder / "train.csv").write_text(f"image,mask\n{rows}")
    for number in range(4):
        Image.new("L", (21, 17), 77).save(folder / "train" / "masks" / f"{number}.png")
    monkeypatch.chdir(folder)
    report = check(open_dataset(Path(), None if kind == "list" else "table"))
    (error,) = [one for one in report.of("error") if "no class" in one.found]
    assert error.where == str(folder / "train" / "masks")
    assert all(f"{number}.png" in error.found for number in range(4))


def test_line_of_three_paths_is_refused(folder: Path) -> None:
    write_lists(folder, "train/images/0.png train/masks/0.png\na b c\n")
    refused(folder, r"train\.txt, line 2: 3 paths; expected .* tab")


def test_list_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "train.txt").write_bytes(b"\xff\xfe\x00\xd8")
    refused(folder, r"train\.txt: cannot be read")


def test_missing_folder_and_folder_of_no_layout_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none", "no such folder")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "a file")
    refused(tmp_path, r"no pairs .*train\.txt.*; or folders: train/images and train/masks")


def test_image_without_mask_and_mask_without_image_are_named(folder: Path) -> None:
    (folder / "train" / "masks" / "1.png").unlink()
    refused(folder, r"train: 1 images without a mask: 1\.png")
    (folder / "train" / "images" / "1.png").unlink()
    (folder / "val" / "images" / "0.png").unlink()
    refused(folder, r"val: 1 masks without an image: 0\.png")


def test_two_files_of_one_stem_are_refused(folder: Path) -> None:
    (folder / "train" / "images" / "1.jpg").write_bytes(b"")
    refused(folder, r"images: two files of the same stem: 1\.jpg, 1\.png")


def test_empty_split_is_refused(folder: Path) -> None:
    (folder / "test" / "images").mkdir(parents=True)
    refused(folder, "no images in split test")
    write_lists(folder, "\n")
    refused(folder, "no images in split train")


def test_unknown_split_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'dev'; expected train, val\."):
        open_dataset(folder).split("dev")


def test_camvid_has_its_splits(camvid: Path) -> None:
    dataset = open_dataset(camvid)
    assert {name: len(pairs) for name, pairs in dataset.splits.items()} == {
        "train": 367,
        "val": 101,
    }
    assert dataset.labels.ignore_index == 11
