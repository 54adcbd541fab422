"""Dataset layouts. Each is a module that says what it looks for, whether a folder is of its
kind, and how to read it; the first that recognises a folder reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from perpixel.data.dataset import Dataset
from perpixel.data.division import Folds, divide
from perpixel.data.found import Found
from perpixel.data.layouts import (
    ade20k,
    camvid,
    camvid11,
    cityscapes,
    class_masks,
    coco,
    flat,
    huggingface,
    labelme,
    list_files,
    sbd,
    split_folders,
    table,
    voc,
)
from perpixel.data.meaning import interpret
from perpixel.errors import ConfigError, DataError


@runtime_checkable
class Layout(Protocol):
    """What a module in this package offers."""

    NAME: str
    LOOKS_FOR: str

    def recognises(self, root: Path) -> bool:
        """Whether the folder is of this kind."""

    def read(self, root: Path) -> Found:
        """What is in the folder; DataError for what is missing or doubled."""


# The order decides where a folder fits several: what is more special comes first.
LAYOUTS: tuple[Layout, ...] = (
    huggingface,
    cityscapes,
    ade20k,
    voc,
    sbd,
    coco,
    camvid,
    camvid11,
    list_files,
    class_masks,
    split_folders,
    flat,
    table,
    labelme,
)


def open_dataset(root: Path, layout: str | None = None, folds: Folds | None = None) -> Dataset:
    """Read a dataset folder: which files belong together, and the classes.

    Few or no images are decoded: a look at some masks tells whether they hold numbers or colours
    (at more, where there are two classes and these masks are empty), and all up to 1,000 are read
    where neither `classes.yaml` nor the layout names the classes.
    Images that nobody has split are divided into training and validation.

    Args:
        root: the folder.
        layout: the name of one of LAYOUTS, to force it; None: the first that recognises the
            folder.
        folds: the part of a cross-validation, for data without a validation split of its own.

    Raises:
        DataError: there is no such folder, no layout recognises it, a split is empty or
            incomplete, or `classes.yaml` is wrong or does not go with the masks.
        ConfigError: there is no layout of this name.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "no such folder"
        raise DataError(root, found=found, mend="Give the path of a dataset folder")
    chosen = _recognised(root) if layout is None else _named(layout)
    found_there = chosen.read(root)
    empty = [name for name, pairs in found_there.splits.items() if not pairs]
    if empty or not found_there.splits:
        found = f"no images in split {', '.join(empty)}" if empty else "no images"
        mend = "Add images to it, or remove it" if empty else "Add images, or name another layout"
        raise DataError(root, found=found, expected=chosen.LOOKS_FOR, mend=mend)
    splits, divided = divide(root, found_there.splits, folds)
    meaning = interpret(root, found_there)
    encoded = {
        split: tuple(
            pair if pair.mask is None else replace(pair, encoding=meaning.encoding)
            for pair in pairs
        )
        for split, pairs in splits.items()
    }
    notes = (*found_there.notes, *meaning.notes, *divided)
    return Dataset(root, meaning.labels, encoded, chosen.NAME, notes)


def _recognised(root: Path) -> Layout:
    layout = next((layout for layout in LAYOUTS if layout.recognises(root)), None)
    if layout is None:
        looked = "; or ".join(f"{layout.NAME}: {layout.LOOKS_FOR}" for layout in LAYOUTS)
        mend = "Arrange the files in one of these ways"
        raise DataError(root, found="no pairs of image and mask", expected=looked, mend=mend)
    return layout


def _named(name: str) -> Layout:
    layout = next((layout for layout in LAYOUTS if name == layout.NAME), None)
    if layout is None:
        known = ", ".join(layout.NAME for layout in LAYOUTS)
        found = f"no layout {name!r}"
        raise ConfigError("layout", found=found, expected=known, mend=f"Name one of: {known}")
    return layout
