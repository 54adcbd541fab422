"""A dataset: class names, and for each split its pairs of image and mask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from perpixel.data.mask_encoding import MaskEncoding
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

SPLITS = ("train", "val", "test")
# How many files an error names.
NAMED = 10


@runtime_checkable
class PaintedMask(Protocol):
    """A mask that is no picture file: it is painted from shapes, or put together from files."""

    @property
    def path(self) -> Path:
        """The file that errors name."""

    def read(self) -> Shaped[np.ndarray, "H W"]:
        """The stored values, before any `MaskEncoding`: uint8, uint16 or uint32; else DataError."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask; an unlabelled image has none.

    `data.masks` reads the mask: `read_stored` its values as they are in the file, `read_classes`
    as class indices.

    Args:
        image: a file, or a place in a file that holds many (see `data.inside`).
        mask: likewise, or what paints it.
        encoding: what the stored values mean; None: they are class indices already.
    """

    image: Path
    mask: Path | PaintedMask | None = None
    encoding: MaskEncoding | None = None

    @property
    def mask_path(self) -> Path | None:
        """The file that the mask comes from, to name it in messages."""
        return self.mask if self.mask is None or isinstance(self.mask, Path) else self.mask.path


@dataclass(frozen=True)
class Dataset:
    """A dataset folder that has been read.

    Args:
        root: the folder.
        labels: what the masks' values mean.
        splits: for each split its pairs, in a fixed order.
        layout: the name of the layout that the folder was recognised as.
        notes: what was understood or decided about the folder, each a sentence for its owner.
    """

    root: Path
    labels: LabelSpace
    splits: Mapping[str, tuple[Pair, ...]]
    layout: str = ""
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Pair, ...]:
        """The pairs of a split.

        Raises:
            DataError: there is no such split.
        """
        if name not in self.splits:
            there = ", ".join(self.splits)
            mend = f"Name one of: {there}"
            raise DataError(self.root, found=f"no split {name!r}", expected=there, mend=mend)
        return self.splits[name]


def listed(names: list[str]) -> str:
    """Up to ten names in one line, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def together(paths: Sequence[Path]) -> tuple[Path, list[str]]:
    """What names files in one message: a lone file itself, else their common folder; and each
    file's name, as seen from that folder."""
    if len(set(paths)) == 1:
        return paths[0], [path.name for path in paths]
    if len({path.is_absolute() for path in paths}) > 1:
        paths = [path.absolute() for path in paths]
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    return folder, [path.relative_to(folder).as_posix() for path in paths]
