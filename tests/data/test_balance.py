"""Samples by class: the classes alike, none of them void, and the crop holds the class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data.augment import Augmentation
from perpixel.data.balance import Balance, pixel_of
from perpixel.data.layouts import open_dataset
from perpixel.data.loader import Batch, TrainingLoader, training_loader
from perpixel.data.scan import scan
from perpixel.preprocessing import Preprocessing

CLOSE = Augmentation(crop=(8, 8), scale=(1.0, 1.5))


@pytest.fixture
def rare(folder: Path) -> Path:
    """Tree, the last class, has four pixels, in one image; the void pixels are at the top left."""
    for path in sorted((folder / "train/masks").iterdir()):
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 2] = 0
        if path.name == "3.png":
            mask[12:14, 5:7] = 2
        Image.fromarray(mask).save(path)
    return folder


def loader(folder: Path, share: float, workers: int = 0) -> TrainingLoader:
    dataset = open_dataset(folder)
    pairs = dataset.split("train")
    return training_loader(
        pairs,
        dataset.labels,
        CLOSE,
        Preprocessing(),
        batch_size=2,
        seed=1,
        workers=workers,
        balance=Balance.of(share, scan(pairs, dataset.labels).by_image) if share else None,
    )


def seen(batches: list[Batch]) -> list[tuple[str, set[int]]]:
    return [
        (path.name, set(mask.unique().tolist()))
        for batch in batches
        for path, mask in zip(batch.paths, batch.masks, strict=True)
    ]


def test_classes_that_occur_are_drawn_alike_and_the_others_never() -> None:
    pixels = np.array([[5, 0, 900, 0], [0, 0, 10, 0], [7, 1, 8, 0]])
    image, focus = Balance.of(1.0, pixels).draw(6000, np.random.default_rng(0))
    counts = Counter(focus.tolist())
    assert set(counts) == {0, 1, 2}
    assert all(abs(count - 2000) < 200 for count in counts.values())
    assert (pixels[image, focus] > 0).all()
    assert set(image[focus == 1]) == {2}
    assert set(image[focus == 2]) == {0, 1, 2}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_drawn_by_class_and_the_rest_in_turn(share: float) -> None:
    pixels = np.ones((4, 3), np.int64)
    image, focus = Balance.of(share, pixels).draw(4000, np.random.default_rng(0))
    assert abs((focus >= 0).mean() - share) < 0.03
    assert np.array_equal(focus >= 0, image >= 0)


def test_without_a_labelled_pixel_all_are_in_turn() -> None:
    _, focus = Balance.of(1.0, np.zeros((3, 2), np.int64)).draw(5, np.random.default_rng(0))
    assert (focus == -1).all()


def test_every_pixel_of_a_class_may_be_drawn(rng: np.random.Generator) -> None:
    mask = np.zeros((5, 7), np.uint16)
    places = {(0, 6), (2, 3), (4, 0)}
    for place in places:
        mask[place] = 300
    assert {pixel_of(mask, 300, rng) for _ in range(60)} == places
    assert pixel_of(mask, 9, rng) is None


def test_a_rare_class_is_seen_as_often_as_the_others(rare: Path) -> None:
    balanced = [
        entry for epoch in range(40) for entry in seen(list(loader(rare, 1.0).epoch(epoch)))
    ]
    in_turn = [entry for epoch in range(40) for entry in seen(list(loader(rare, 0).epoch(epoch)))]
    with_trees = sum(2 in labels for _, labels in balanced) / len(balanced)
    assert with_trees > 0.3
    assert sum(2 in labels for _, labels in in_turn) / len(in_turn) < 0.2


def test_draws_repeat_exactly_for_any_workers_and_from_any_batch(rare: Path) -> None:
    whole = list(loader(rare, 0.5).epoch(3))
    for other, rest in (
        (loader(rare, 0.5, workers=1).epoch(3), whole),
        (loader(rare, 0.5).epoch(3, 1), whole[1:]),
    ):
        for one, right in zip(other, rest, strict=True):
            assert one.paths == right.paths
            assert torch.equal(one.images, right.images)
            assert torch.equal(one.masks, right.masks)


def test_samples_in_turn_are_what_they_are_without_balance(rare: Path) -> None:
    plain = {path: mask for batch in loader(rare, 0).epoch(0) for path, mask in pairs_of(batch)}
    mixed = [pair for batch in loader(rare, 0.5).epoch(0) for pair in pairs_of(batch)]
    same = [torch.equal(plain[path], mask) for path, mask in mixed]
    assert any(same)
    assert not all(same)


def pairs_of(batch: Batch) -> list[tuple[Path, torch.Tensor]]:
    return list(zip(batch.paths, batch.masks, strict=True))


def test_void_pixels_are_never_cropped_around(rare: Path) -> None:
    Image.fromarray(np.full((17, 21), 255, np.uint8)).save(rare / "train/masks/2.png")
    run = loader(rare, 1.0)
    samples = [sample for epoch in range(20) for sample in seen(list(run.epoch(epoch)))]
    assert {name for name, _ in samples} == {"0.png", "1.png", "3.png", "4.png"}
    assert all(labels - {255} for _, labels in samples)
