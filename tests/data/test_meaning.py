"""What masks mean: by classes.yaml, or by the values found; and what is said about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.written.small import VOID, coded, drawn, masks_of, picture, save
from perpixel.data import mask_values
from perpixel.data.colour_names import colour_names
from perpixel.data.dataset import Dataset, Pair
from perpixel.data.layouts import open_dataset
from perpixel.data.masks import read_classes, read_stored
from perpixel.data.sample import read_sample
from perpixel.data.scan import scan
from perpixel.errors import DataError


def written(root: Path, codes: dict[int, object], dtype: type = np.uint8) -> dict[str, np.ndarray]:
    """A flat set whose masks hold a code for each class; the class indices by stem."""
    masks = masks_of(list(codes))
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{stem}.jpg")
        save(coded(mask, codes, dtype), root / "masks" / f"{stem}.png")
    return masks


def opened(root: Path, classes: str | None = None) -> Dataset:
    if classes is not None:
        (root / "classes.yaml").write_text(classes, encoding="utf-8")
    return open_dataset(root)


def indices(dataset: Dataset) -> dict[str, np.ndarray]:
    found = {}
    for pairs in dataset.splits.values():
        for pair in pairs:
            mask = read_sample(pair, dataset.labels).mask.astype(int)
            found[pair.image.stem] = np.where(mask == dataset.labels.ignore_index, VOID, mask)
    return found


def same(dataset: Dataset, masks: dict[str, np.ndarray], table: dict[int, int]) -> None:
    found = indices(dataset)
    assert found.keys() == masks.keys()
    for stem, mask in masks.items():
        expected = np.vectorize(table.__getitem__)(mask)
        np.testing.assert_array_equal(found[stem], expected)


def test_two_classes_of_0_and_255_are_said_aloud(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: 0, 1: 255})
    dataset = opened(tmp_path, "classes: [skin, lesion]\n")
    assert "masks hold 0 and 255: read as class 0 and class 1, skin and lesion" in dataset.notes
    same(dataset, masks, {0: 0, 1: 1})


@pytest.fixture
def mostly_empty(tmp_path: Path) -> Path:
    """A flat set of 100 images whose masks hold 0, and 255 in the 8th and the 58th alone: not
    among the 20 that are looked at first."""
    for number in range(100):
        mask = np.zeros((4, 5), np.uint8)
        mask[1, 2:4] = 255 * (number in (7, 57))
        save(np.zeros((4, 5, 3), np.uint8), tmp_path / "images" / f"{number:02}.png")
        save(mask, tmp_path / "masks" / f"{number:02}.png")
    return tmp_path


@pytest.mark.parametrize("bands", [1, 3])
def test_a_rare_foreground_of_255_is_a_class_though_the_first_masks_are_empty(
    mostly_empty: Path, bands: int
) -> None:
    if bands == 3:
        for path in (mostly_empty / "masks").iterdir():
            mask = np.asarray(Image.open(path))
            save(np.dstack([mask] * 3), path)
    dataset = opened(mostly_empty, "classes: [background, defect]\n")
    assert "masks hold 0 and 255: read as class 0 and class 1, background and defect" in (
        dataset.notes
    )
    found = indices(dataset)
    assert {stem for stem, mask in found.items() if mask.any()} == {"07", "57"}
    assert np.unique(found["57"]).tolist() == [0, 1]


def test_masks_are_looked_at_until_one_is_not_empty(
    mostly_empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def stored(pair: Pair) -> np.ndarray:
        looked.append(pair.mask.stem)
        return read_stored(pair)

    monkeypatch.setattr(mask_values, "read_stored", stored)
    opened(mostly_empty, "classes: [background, defect]\n")
    # Every fifth from the first, then every fifth from the second, then from the third.
    assert len(looked) == 60
    looked.clear()
    save(np.full((4, 5), 1, np.uint8), mostly_empty / "masks" / "05.png")
    assert opened(mostly_empty).split("train")[0].encoding is None
    assert len(looked) == 20
    looked.clear()
    for number in (5, 7, 57):
        save(np.zeros((4, 5), np.uint8), mostly_empty / "masks" / f"{number:02}.png")
    opened(mostly_empty)
    assert len(looked) == 100
    looked.clear()
    # Where 255 cannot be a class, nothing more would be learned.
    opened(mostly_empty, "classes: [background, defect]\nignore_index: 255\n")
    assert len(looked) == 20


def test_255_that_is_stated_to_be_ignored_stays_ignored(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: 0, VOID: 255})
    dataset = opened(tmp_path, "classes: [skin, lesion]\nignore_index: 255\n")
    same(dataset, masks, {0: 0, VOID: VOID})


def test_grey_written_into_three_bands_counts_as_numbers(tmp_path: Path) -> None:
    codes = {0: (0, 0, 0), 1: (1, 1, 1), 2: (2, 2, 2), VOID: (255, 255, 255)}
    masks = written(tmp_path, codes)
    same(opened(tmp_path), masks, {0: 0, 1: 1, 2: 2, VOID: VOID})
    dataset = opened(tmp_path, "classes: [a, b, c]\nignore_index: 255\n")
    assert "masks are RGB pictures of grey: read as its levels" in dataset.notes
    same(dataset, masks, {0: 0, 1: 1, 2: 2, VOID: VOID})


def test_black_and_white_pictures_are_two_classes(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: (0, 0, 0), 1: (255, 255, 255)})
    assert opened(tmp_path).labels.names == ("background", "foreground")
    same(opened(tmp_path), masks, {0: 0, 1: 1})
    same(opened(tmp_path, "classes: [a, b]\n"), masks, {0: 0, 1: 1})
    # The colours that classes.yaml states go before the order.
    stated = "classes: [{name: a, color: [255, 255, 255]}, {name: b, color: [0, 0, 0]}]\n"
    same(opened(tmp_path, stated), masks, {0: 1, 1: 0})


def test_colours_are_merged_and_ignored(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: (1, 2, 3), 1: (200, 0, 0), 2: (0, 0, 200), 3: (9, 9, 9)})
    dataset = opened(
        tmp_path,
        "classes:\n  - {name: all, color: [0, 255, 0], merge: [[1, 2, 3], [200, 0, 0]]}\n"
        "  - {name: blue, color: [0, 0, 200]}\nignore: [[9, 9, 9]]\n",
    )
    assert dataset.labels.colours == ((0, 255, 0), (0, 0, 200))
    same(dataset, masks, {0: 0, 1: 0, 2: 1, 3: VOID})


def test_numbers_are_merged_and_ignored(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: 0, 1: 7, 2: 8, 3: 40, VOID: 255})
    dataset = opened(
        tmp_path, "classes: [ground, {name: car, merge: [7, 8]}]\nignore: [40]\nignore_index: 255\n"
    )
    same(dataset, masks, {0: 0, 1: 1, 2: 1, 3: VOID, VOID: VOID})


def test_values_are_classes_where_nothing_names_them(tmp_path: Path) -> None:
    masks = written(tmp_path, {0: 0, 1: 3, 2: 9, VOID: 255})
    dataset = opened(tmp_path)
    assert dataset.labels.names == ("class 0", "class 3", "class 9")
    assert any(
        "5 masks hold 0, 3, 9, each read as a class; 255 is ignored" in n for n in dataset.notes
    )
    same(dataset, masks, {0: 0, 1: 1, 2: 2, VOID: VOID})


def test_unknown_colours_and_values_are_named_with_their_files(tmp_path: Path) -> None:
    written(tmp_path, {0: (1, 2, 3), 1: (200, 0, 0)})
    stated = "classes: [{name: a, color: [1, 2, 3]}, {name: b, color: [200, 0, 0]}]\n"
    dataset = opened(tmp_path, stated)
    pair = dataset.split("train")[0]
    pixels = np.asarray(Image.open(pair.mask)).copy()
    pixels[0, 0] = 7, 7, 7
    save(pixels, pair.mask)
    assert read_classes(pair, dataset.labels)[1] == [0x070707]
    message = rf"{pair.mask.name}: .* \(\(7, 7, 7\)\); expected colours \(1, 2, 3\), \(200, 0, 0\)"
    with pytest.raises(DataError, match=message):
        scan([pair], dataset.labels)


@pytest.mark.parametrize(
    ("codes", "classes", "message"),
    [
        (
            {0: (1, 2, 3), 1: (200, 0, 0)},
            "classes: [a, b]",
            "classes without colours, but the masks",
        ),
        (
            {0: 0, 1: 1},
            "classes: [a, {name: b, merge: [[1, 1, 1]]}]",
            "lists [1, 1, 1], but the mas",
        ),
        (
            {0: (1, 2, 3)},
            "classes: [{name: a, color: [1, 2, 3], merge: [4]}]",
            "lists 4, but the mas",
        ),
        (
            {0: 0, 1: 1},
            "classes: [a, {name: b, merge: [car]}]",
            "'car', but this layout has no cla",
        ),
        ({0: 0, 1: 1}, "classes: [a, {name: b, merge: [0, 1]}]", "0 in both a and b"),
        ({0: 0, 1: 1}, "classes: [a, b]\nignore: [1]", "1 in both b and ignore"),
        ({0: 0, 1: 1}, "classes: [a, {name: b, merge: [1, 70000]}]", "`merge: [1, 70000]` lists"),
    ],
)
def test_a_class_list_that_does_not_go_with_the_masks_is_refused(
    tmp_path: Path, codes: dict[int, object], classes: str, message: str
) -> None:
    written(tmp_path, codes)
    with pytest.raises(DataError) as caught:
        opened(tmp_path, classes)
    assert message in str(caught.value)
    assert "classes.yaml" in str(caught.value)


def test_masks_of_too_many_colours_are_no_classes(tmp_path: Path) -> None:
    for seed, stem in enumerate("ab"):
        save(picture(seed), tmp_path / "images" / f"{stem}.png")
        save(picture(seed), tmp_path / "masks" / f"{stem}.png")
    with pytest.raises(DataError, match=r"no such file, and \d+ colours in 2 masks; .* 256"):
        opened(tmp_path)


def test_without_a_readable_mask_classes_are_asked_for(tmp_path: Path) -> None:
    for stem in "ab":
        save(picture(0), tmp_path / "images" / f"{stem}.png")
        save(drawn(0, [0, 1]).astype(np.uint8), tmp_path / "masks" / f"{stem}.png")
        (tmp_path / "masks" / f"{stem}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"classes\.yaml: no such file, and no mask that would"):
        opened(tmp_path)


def test_colours_have_distinct_names() -> None:
    colours = [(0, 0, 0), (1, 0, 0), (128, 0, 0), (0, 130, 0)]
    assert colour_names(colours) == ("black", "black #010000", "dark red", "dark green #008200")
