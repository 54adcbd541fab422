"""Layout: `train.txt`, `val.txt` (or `valid.txt`), `test.txt`, each line an image and its mask."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.dataset import Pair
from perpixel.data.found import Found, splits_there
from perpixel.data.pairing import require
from perpixel.data.texts import read_text
from perpixel.errors import DataError

NAME = "lists"
LOOKS_FOR = (
    "train.txt, val.txt (or valid.txt), test.txt whose lines are `image mask` relative to the "
    "folder"
)


def recognises(root: Path) -> bool:
    """Whether the folder has a list of at least one split."""
    return bool(_lists(root))


def names_real_files(root: Path) -> bool:
    """Whether the first line of the first list names files that are there."""
    path = next(iter(_lists(root).values()), None)
    pairs = _pairs(root, path)[:1] if path is not None else []
    return all(file.is_file() for _, files in pairs for file in files) and bool(pairs)


def read(root: Path) -> Found:
    """The pairs of each split that has a list. A line with an image alone is an unlabelled image.

    The two paths are separated by a tab, or by spaces if neither contains one.

    Raises:
        DataError: a list is no text, a line has more than two paths, a file is missing, or a split
            has lists of two names.
    """
    return Found({split: _read(root, path) for split, path in _lists(root).items()})


def _lists(root: Path) -> dict[str, Path]:
    names = splits_there(root, lambda name: (root / f"{name}.txt").is_file())
    return {split: root / f"{name}.txt" for split, name in names.items()}


def _read(root: Path, path: Path) -> tuple[Pair, ...]:
    pairs = _pairs(root, path)
    every = [(number, file) for number, files in pairs for file in files]
    require(path, {f"{str(file).removeprefix(f'{root}/')} (line {n})": file for n, file in every})
    return tuple(Pair(files[0], files[1] if len(files) > 1 else None) for _, files in pairs)


def _pairs(root: Path, path: Path) -> list[tuple[int, list[Path]]]:
    """Of each line that is not empty its number, and the one or two paths on it."""
    pairs: list[tuple[int, list[Path]]] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split("\t") if "\t" in line else line.split()
        files = [root / field.strip() for field in fields if field.strip()]
        if len(files) > 2:
            raise DataError(
                f"{path}, line {number}",
                found=f"{len(files)} paths",
                expected="an image and its mask",
                mend="Separate the two paths by a tab if they contain spaces",
            )
        if files:
            pairs.append((number, files))
    return pairs
