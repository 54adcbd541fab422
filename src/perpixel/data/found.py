"""What a layout finds in a folder: which files belong together, and the classes it knows of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from perpixel.data.dataset import SPLITS, Pair
from perpixel.data.mask_encoding import IGNORED, Kind, pack_colour
from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace

# The name of the pairs that nobody has split yet.
UNSPLIT = "all"
# Other names that splits go by.
SYNONYMS = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
    "dev": "val",
}


@dataclass(frozen=True)
class KnownClasses:
    """The classes that a layout knows without being told.

    Args:
        labels: their names and colours.
        numbers: what the numbers in masks mean: (value, class index or IGNORED).
        rest_ignored: whether all other numbers are ignored.
        certainty: what a `classes.yaml` may say. "suggested": its own classes, numbered in its own
            order, if it names none of these. "fixed": only these names. "collected": the classes
            were collected from the masks, and it may name classes that do not occur.
        painted_as: for each class the colours that it has in colour masks, where they are not its
            colour in `labels` alone.
        ignored_colours: colours of pixels without a label.
        numbers_are_ours: whether no file holds the numbers, so that nobody means any by them.
    """

    labels: LabelSpace
    numbers: tuple[tuple[int, int], ...]
    rest_ignored: bool = False
    certainty: Literal["suggested", "fixed", "collected"] = "suggested"
    painted_as: tuple[tuple[Colour, ...], ...] = ()
    ignored_colours: tuple[Colour, ...] = ()
    numbers_are_ours: bool = False

    def values_of(self, index: int, kind: Kind) -> tuple[int, ...]:
        """The stored values of a class (or of IGNORED): numbers, or packed colours."""
        if kind == "numbers":
            return tuple(value for value, to in self.numbers if to == index)
        if index == IGNORED:
            return tuple(map(pack_colour, self.ignored_colours))
        colours = self.painted_as[index] if self.painted_as else (self.labels.colours[index],)
        return tuple(map(pack_colour, colours))


@dataclass(frozen=True)
class Found:
    """What a layout found in a folder.

    Args:
        splits: the pairs of each split, without their encoding; UNSPLIT: to be split by us.
        known: the classes, where the layout knows them.
        notes: what was understood, each a sentence for the owner of the data.
    """

    splits: Mapping[str, tuple[Pair, ...]]
    known: KnownClasses | None = None
    notes: tuple[str, ...] = ()


def splits_there(root: Path, is_there: Callable[[str], bool]) -> dict[str, str]:
    """For each split that a folder has, the name that it goes by there: `valid` for val.

    Args:
        root: the folder, to name it in errors.
        is_there: whether something in it goes by a name.

    Raises:
        DataError: a split goes by two names.
    """
    names: dict[str, str] = {}
    for split in SPLITS:
        spelled = (split, *(name for name, meant in SYNONYMS.items() if meant == split))
        there = [name for name in spelled if is_there(name)]
        if len(there) > 1:
            raise DataError(
                root,
                found=f"{' and '.join(there)}, which are names of the same split",
                expected="one of them",
                mend="Put them together, or move what is no such split elsewhere",
            )
        if there:
            names[split] = there[0]
    return names
