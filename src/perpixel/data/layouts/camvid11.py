"""Layout: CamVid's colour masks, their 32 classes grouped into the 11 that papers report."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.found import Found, KnownClasses
from perpixel.data.layouts.camvid import COLOURS, GROUPED, GROUPS, VOID, colour_splits

NAME = "camvid11"
LOOKS_FOR = "CamVid's colour masks, grouped into 11 classes; only if asked for by name"


def recognises(root: Path) -> bool:
    """Never: a folder of CamVid's colours has 32 classes, unless its owner wants 11."""
    return False


def read(root: Path) -> Found:
    """The pairs of each split.

    Raises:
        DataError: an image has no mask, or a mask no image.
    """
    painted_as = tuple(tuple(COLOURS[name] for name in of) for of in GROUPS.values())
    known = KnownClasses(GROUPED, (), painted_as=painted_as, ignored_colours=(COLOURS[VOID],))
    return Found(colour_splits(root), known, ("CamVid's colours, grouped into 11 classes",))
