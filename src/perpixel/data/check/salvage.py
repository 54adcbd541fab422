"""What can be read of a folder that does not open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perpixel.data.check.finding import FOLDER, Finding
from perpixel.data.dataset import Dataset, Pair
from perpixel.data.found import Found
from perpixel.data.layouts import split_folders
from perpixel.data.meaning import interpret
from perpixel.data.pairing import match_folders
from perpixel.errors import DataError


def salvage(root: Path) -> tuple[Dataset | None, list[Finding]]:
    """The pairs of a folder of split folders that are whole, and what is wrong with each split.

    None where the folder is of another layout, or its classes cannot be read: then the error that
    kept it from opening says everything.
    """
    splits: dict[str, tuple[Pair, ...]] = {}
    findings: list[Finding] = []
    try:
        folders = split_folders.folders_of(root)
    except DataError:
        return None, findings
    for name, (images, masks) in folders.items():
        pairs, faults = match_folders(images, masks)
        findings += [Finding.of_error(fault, FOLDER) for fault in faults]
        if pairs:
            splits[name] = pairs
    if not splits:
        return None, findings
    try:
        meaning = interpret(root, Found(splits))
    except DataError as error:
        return None, [*findings, Finding.of_error(error, FOLDER)]
    notes = ("only images and masks that could be matched were read", *meaning.notes)
    read = {
        name: tuple(
            pair if pair.mask is None else replace(pair, encoding=meaning.encoding)
            for pair in pairs
        )
        for name, pairs in splits.items()
    }
    return Dataset(root, meaning.labels, read, split_folders.NAME, notes), findings
