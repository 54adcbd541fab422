"""Layout: a dataset of Hugging Face's library `datasets`, saved by `save_to_disk`.

Its Arrow files are read with pyarrow alone: the library itself brings a hundred megabytes and a
cache, and adds nothing to what is read here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perpixel.data.dataset import SPLITS, Pair
from perpixel.data.found import SYNONYMS, UNSPLIT, Found
from perpixel.data.inside import arrow_table
from perpixel.errors import DataError

NAME = "huggingface"
LOOKS_FOR = "dataset_dict.json or state.json, as `save_to_disk` of datasets writes them"
_IMAGE = ("image", "pixel_values", "img")
_MASK = ("annotation", "label", "mask", "segmentation", "labels", "semantic", "annotated")


def recognises(root: Path) -> bool:
    """Whether a dataset, or one of several splits, was saved here."""
    return (root / "dataset_dict.json").is_file() or (root / "state.json").is_file()


def read(root: Path) -> Found:
    """The rows of each split, as places in its Arrow files.

    Raises:
        DataError: a split is of another name than training, validation and test; it has no image
            and annotation columns; or a file is missing or damaged.
        ConfigError: pyarrow is not installed.
    """
    if not (root / "dataset_dict.json").is_file():
        pairs, note = _rows(root)
        return Found({UNSPLIT: pairs}, None, (note,))
    splits: dict[str, tuple[Pair, ...]] = {}
    notes: dict[str, None] = {}
    for name in _json(root / "dataset_dict.json").get("splits", []):
        split = SYNONYMS.get(name, name)
        if split not in SPLITS:
            expected = "train, validation (or val), test"
            mend = "Name the splits so, and save the dataset again"
            raise DataError(root, found=f"a split {name!r}", expected=expected, mend=mend)
        splits[split], note = _rows(root / name)
        notes[note] = None
    return Found(splits, None, tuple(notes))


def _rows(folder: Path) -> tuple[tuple[Pair, ...], str]:
    features = _json(folder / "dataset_info.json").get("features", {})
    pictures = [name for name, kind in features.items() if _is_picture(kind)]
    image = next((name for name in _IMAGE if name in pictures), None)
    mask = next((name for name in _MASK if name in pictures and name != image), None)
    if image is None or mask is None:
        raise DataError(
            folder,
            found=f"the picture columns {', '.join(pictures) or '(none)'}",
            expected=f"one of {', '.join(_IMAGE)} and one of {', '.join(_MASK)}",
            mend="Rename the columns, and save the dataset again",
        )
    pairs: list[Pair] = []
    for file in _json(folder / "state.json").get("_data_files", []):
        path = folder / file["filename"]
        if not path.is_file():
            mend = "Copy the dataset again, with all its files"
            raise DataError(path, found="no such file", mend=mend)
        rows = arrow_table(path).num_rows
        pairs += [_pair(path, image, mask, row) for row in range(rows)]
    return tuple(pairs), f"images are the column {image!r}, masks {mask!r}"


def _pair(path: Path, image: str, mask: str, row: int) -> Pair:
    return Pair(_place(path, image, row), _place(path, mask, row))


def _place(path: Path, column: str, row: int) -> Path:
    """A cell that holds a picture, or the file whose path it holds."""
    content = arrow_table(path)[column][row]
    if content["bytes"].is_valid:
        return path / column / str(row)
    return path.parent / str(content["path"])


def _is_picture(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("_type") == "Image"


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found, mend = f"cannot be read ({error})", "Save the dataset again with `save_to_disk`"
        raise DataError(path, found=found, mend=mend) from None
    return content if isinstance(content, dict) else {}
