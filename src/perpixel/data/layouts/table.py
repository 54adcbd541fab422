"""Layout: a CSV or JSON-lines table of images and masks, and perhaps of their splits."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perpixel.data.dataset import SPLITS, Pair
from perpixel.data.found import SYNONYMS, UNSPLIT, Found
from perpixel.data.pairing import require
from perpixel.errors import DataError

NAME = "table"
LOOKS_FOR = "a .csv or .jsonl file with the columns image and mask (and perhaps split)"
_IMAGE = ("image", "image_path", "img", "img_path", "file_name", "filename")
_MASK = ("mask", "mask_path", "annotation", "label", "label_path", "segmentation")
_SPLIT = ("split", "subset", "set")

_Row = dict[str, Any]


def recognises(root: Path) -> bool:
    """Whether a table in the folder has the two columns."""
    return bool(_tables(root))


def read(root: Path) -> Found:
    """The pairs of all tables. A row belongs to its split, else to the one its table is named for.

    A row without a mask is an unlabelled image.

    Raises:
        DataError: a table cannot be read, or a file or split that it names is not there.
    """
    splits: dict[str, list[Pair]] = {}
    for path in _tables(root):
        rows = _rows(path)
        image, mask, split = (_column(rows, names) for names in (_IMAGE, _MASK, _SPLIT))
        files: dict[str, Path] = {}
        for row in rows:
            where = _split(path, row.get(split) if split else None)
            named = [str(row[column]) for column in (image, mask) if column and row.get(column)]
            files |= {name: root / name for name in named}
            if named:
                places = [root / name for name in named]
                mask_at = places[1] if len(places) > 1 else None
                splits.setdefault(where, []).append(Pair(places[0], mask_at))
        require(path, files)
    ordered = sorted(splits, key=lambda name: (*SPLITS, UNSPLIT).index(name))
    return Found({name: tuple(splits[name]) for name in ordered})


def _tables(root: Path) -> list[Path]:
    paths = sorted(path for path in root.glob("[!.]*") if path.suffix.lower() in (".csv", ".jsonl"))
    return [path for path in paths if all(_column(_rows(path, 1), of) for of in (_IMAGE, _MASK))]


def _rows(path: Path, most: int | None = None) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file) if path.suffix.lower() == ".csv" else map(json.loads, file)
            for row in lines:
                if not isinstance(row, dict):
                    raise ValueError("a line that is no mapping")
                rows.append({str(key).strip(): value for key, value in row.items()})
                if len(rows) == most:
                    break
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        found = f"cannot be read ({error})"
        raise DataError(path, found=found, expected=LOOKS_FOR, mend="Correct the table") from None
    return rows


def _column(rows: Sequence[_Row], names: Sequence[str]) -> str | None:
    keys = [key for row in rows for key in row]
    return next((key for name in names for key in keys if key.lower() == name), None)


def _split(path: Path, stated: object) -> str:
    if stated in (None, ""):
        name = path.stem.lower()
        name = SYNONYMS.get(name, name)
        return name if name in SPLITS else UNSPLIT
    name = str(stated).lower()
    name = SYNONYMS.get(name, name)
    if name not in SPLITS:
        mend = "Write train, val or test"
        raise DataError(path, found=f"a split {stated!r}", expected=", ".join(SPLITS), mend=mend)
    return name
