from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.dataset import Pair
from perpixel.data.layouts import open_dataset
from perpixel.data.scan import Scan, scan
from perpixel.errors import DataError


def scanned(folder: Path) -> Scan:
    dataset = open_dataset(folder)
    return scan(dataset.split("train"), dataset.labels)


def rewrite(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path)


def test_scan_counts_the_pixels_of_each_class(folder: Path) -> None:
    dataset, told = open_dataset(folder), []
    found = scan(dataset.split("train"), dataset.labels, lambda *done: told.append(done))
    masks = np.stack([np.asarray(Image.open(p.mask)) for p in dataset.split("train")])
    assert found.pixels.tolist() == [int((masks == c).sum()) for c in range(3)]
    assert found.ignored == 5 * 4
    assert found.sizes == {(17, 21): 5}
    assert (found.bands, found.dtype) == (3, np.uint8)
    assert told == [(n, 5) for n in range(1, 6)]


def test_sizes_may_differ_and_grey_may_stand_beside_colour(
    folder: Path, rng: np.random.Generator
) -> None:
    rewrite(folder / "train/images/0.png", rng.integers(0, 256, (9, 8), np.uint8))
    rewrite(folder / "train/masks/0.png", rng.integers(0, 3, (9, 8), np.uint8))
    found = scanned(folder)
    assert list(found.sizes.items()) == [((17, 21), 4), ((9, 8), 1)]
    assert found.bands == 3


def test_unlabelled_images_are_checked_too(folder: Path) -> None:
    dataset = open_dataset(folder)
    pair = Pair(folder / "train/images/0.png")
    assert scan([pair], dataset.labels).pixels.tolist() == [0, 0, 0]
    pair.image.write_bytes(pair.image.read_bytes()[:-20])
    with pytest.raises(DataError, match="truncated"):
        scan([pair], dataset.labels)
    with pytest.raises(DataError, match="no images"):
        scan([], dataset.labels)


def test_mask_of_another_size_is_refused(folder: Path) -> None:
    rewrite(folder / "train/masks/2.png", np.zeros((17, 20), np.uint8))
    with pytest.raises(DataError, match=r"masks/2\.png: a mask of 20×17 .* expected .* 21×17"):
        scanned(folder)


def test_unknown_mask_values_are_listed_for_all_files_in_one_line(folder: Path) -> None:
    for name, value in (("1", 3), ("4", 9)):
        mask = np.asarray(Image.open(folder / f"train/masks/{name}.png")).copy()
        mask[5, 5] = value
        rewrite(folder / f"train/masks/{name}.png", mask)
    message = r"masks: mask values that are no class: 1\.png \(3\), 4\.png \(9\); expected 0 to 2"
    with pytest.raises(DataError, match=message):
        scanned(folder)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_truncated_files_are_refused_before_training(folder: Path, kind: str) -> None:
    path = folder / "train" / kind / "3.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"{kind}/3\.png: a truncated image"):
        scanned(folder)


def test_types_that_cannot_be_mixed_are_refused(folder: Path, rng: np.random.Generator) -> None:
    rewrite(folder / "train/images/4.png", rng.integers(0, 65536, (17, 21), np.uint16))
    with pytest.raises(DataError, match=r"uint16 in 4\.png, uint8 in 0\.png|uint8 .* uint16"):
        scanned(folder)


def test_camvid_scan_agrees_with_its_masks(camvid: Path) -> None:
    dataset = open_dataset(camvid)
    pairs = dataset.split("val")[:10]
    found = scan(pairs, dataset.labels)
    assert found.sizes == {(360, 480): 10}
    assert int(found.pixels.sum()) + found.ignored == 10 * 360 * 480
