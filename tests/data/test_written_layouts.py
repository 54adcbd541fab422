"""Each layout is recognised without being told, and its masks mean what its format says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.written import WRITERS
from data.written.small import VOID, Written
from perpixel.data.dataset import Dataset, Pair
from perpixel.data.layouts import LAYOUTS, open_dataset
from perpixel.data.masks import read_stored
from perpixel.data.sample import read_sample
from perpixel.data.scan import scan
from perpixel.errors import DataError


def key(pair: Pair, split: str) -> str:
    """What `Written.masks` calls a pair; a cell of a table is named by its split and row."""
    train = {"train": "train", "val": "validation"}[split]
    return f"{train}{pair.image.name}" if pair.image.name.isdigit() else pair.image.stem


def check(dataset: Dataset, written: Written) -> None:
    assert dataset.layout == written.layout
    assert dataset.labels.names == written.names
    assert {name: len(pairs) for name, pairs in dataset.splits.items()} == written.splits
    assert written.noted in " · ".join(dataset.notes)
    for split, pairs in dataset.splits.items():
        for pair in pairs:
            sample = read_sample(pair, dataset.labels)
            assert sample.mask is not None
            assert sample.mask.dtype == dataset.labels.mask_dtype
            labelled = sample.mask != dataset.labels.ignore_index
            found = np.where(labelled, sample.mask.astype(int), VOID)
            np.testing.assert_array_equal(found, written.masks[key(pair, split)])


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_recognised_and_its_masks_are_class_indices(name: str, tmp_path: Path) -> None:
    written = WRITERS[name](tmp_path)
    dataset = open_dataset(tmp_path)
    check(dataset, written)
    # Opened again, and by its name, it is the same: the draw of a division is fixed.
    assert open_dataset(tmp_path, written.layout) == dataset
    # What a run reads before its first step.
    for pairs in dataset.splits.values():
        assert scan(pairs, dataset.labels).sizes == {(36, 52): len(pairs)}


def test_every_layout_has_a_writer(tmp_path: Path) -> None:
    layouts = {write(tmp_path / name).layout for name, write in WRITERS.items()}
    assert layouts | {"camvid11"} == {layout.NAME for layout in LAYOUTS}


def test_stored_values_are_those_in_the_files(tmp_path: Path) -> None:
    WRITERS["flat_colours"](tmp_path / "colours")
    pair = open_dataset(tmp_path / "colours").split("train")[0]
    stored = read_stored(pair)
    assert stored.dtype == np.uint32
    assert set(np.unique(stored).tolist()) == {0, 0x800000, 0x0AC81E}
    WRITERS["flat_16_bit"](tmp_path / "wide")
    pair = open_dataset(tmp_path / "wide").split("train")[0]
    assert set(np.unique(read_stored(pair)).tolist()) == {0, 70, 300}


@pytest.mark.parametrize("form", ["{stem}/{name}", "{stem}_{name}"])
def test_class_files_may_lie_by_image_too(form: str, tmp_path: Path) -> None:
    written = WRITERS["class_masks"](tmp_path)
    for path in sorted((tmp_path / "masks").glob("*/*.png")):
        target = tmp_path / "masks" / (form.format(stem=path.stem, name=path.parent.name) + ".png")
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    for name in ("leaf", "stem"):
        (tmp_path / "masks" / name).rmdir()
    check(open_dataset(tmp_path), written)


def test_camvid_s_colours_are_grouped_into_11_classes_on_request(tmp_path: Path) -> None:
    written = WRITERS["camvid_colours"](tmp_path)
    names = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car")
    names += ("pedestrian", "bicyclist")
    group = {"Animal": "pedestrian", "Car": "car", "Sky": "sky"}
    table = {written.names.index(own): names.index(to) for own, to in group.items()}
    masks = {
        stem: np.vectorize(lambda value: table.get(value, VOID))(mask)
        for stem, mask in written.masks.items()
    }
    grouped = Written("camvid11", names, masks, written.splits, "grouped")
    check(open_dataset(tmp_path, "camvid11"), grouped)


def test_classes_yaml_merges_a_layout_s_classes_by_name_and_ignores_the_rest(
    tmp_path: Path,
) -> None:
    written = WRITERS["cityscapes"](tmp_path)
    (tmp_path / "classes.yaml").write_text(
        "classes: [{name: vehicle, merge: [car, truck, bus]}, sky]\nignore: [person]\n"
    )
    masks = {
        stem: np.select([mask == 13, mask == 10], [0, 1], VOID)
        for stem, mask in written.masks.items()
    }
    merged = Written("cityscapes", ("vehicle", "sky"), masks, written.splits, "does not name road")
    check(open_dataset(tmp_path), merged)


def test_classes_yaml_may_name_voc_s_form_anew(tmp_path: Path) -> None:
    written = WRITERS["voc"](tmp_path)
    names = tuple(f"part {number}" for number in range(16))
    (tmp_path / "classes.yaml").write_text(f"classes: [{', '.join(names)}]\n")
    check(open_dataset(tmp_path), Written("voc", names, written.masks, written.splits))


def test_voc_s_archive_may_lie_in_its_own_folders(tmp_path: Path) -> None:
    written = WRITERS["voc"](tmp_path / "VOCdevkit" / "VOC2012")
    shutil.rmtree(tmp_path / "VOCdevkit" / "VOC2012" / "ImageSets")
    shutil.copytree(tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "again")
    check(
        open_dataset(tmp_path), Written("voc", written.names, written.masks, {"train": 4, "val": 1})
    )


@pytest.mark.parametrize("layout", [layout.NAME for layout in LAYOUTS])
def test_a_layout_that_is_forced_on_another_folder_is_refused(layout: str, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path, layout)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
