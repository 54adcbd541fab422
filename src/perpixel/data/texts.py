"""Lists and tables of text that come with pictures: what is wrong with them is said in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace


def read_text(path: Path) -> str:
    """The text of a file, without the mark that some editors put at its beginning.

    Raises:
        DataError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = f"cannot be read ({error})"
        raise DataError(path, found=found, mend="Write it as UTF-8 text") from None


def listed_labels(
    path: Path, names: Sequence[str], colours: Sequence[Colour] | None = None
) -> LabelSpace:
    """The classes that a file lists.

    Args:
        path: of the file, to name it in errors.
        names: of the classes.
        colours: of the classes; None: well-separated ones.

    Raises:
        DataError: there are none, or two of one name.
    """
    try:
        if colours is None:
            return LabelSpace.of(list(names))
        return LabelSpace(names=tuple(names), colours=tuple(colours), ignore_index=255)
    except ValidationError as error:
        found = f"classes that make no sense ({error.errors()[0]['msg']})"
        mend = "Correct the file's classes"
        raise DataError(path, found=found, expected="names, each once", mend=mend) from None
