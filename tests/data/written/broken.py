"""Small datasets that are broken: how a file is spoiled, and that this is said in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.written import WRITERS
from perpixel.data.layouts import open_dataset
from perpixel.errors import DataError

COCO = "annotations/instances_train2017.json"


def spoil_json(path: str, change: Callable[[dict], object]) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        content = json.loads((root / path).read_text(encoding="utf-8"))
        change(content)
        (root / path).write_text(json.dumps(content), encoding="utf-8")

    return spoil


def assert_refused(root: Path, name: str, spoil: Callable[[Path], object], message: str) -> None:
    """What the writer of this name writes, spoiled, is refused in one line with this in it."""
    layout = WRITERS[name](root).layout
    spoil(root)
    with pytest.raises(DataError) as caught:
        open_dataset(root, layout)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
