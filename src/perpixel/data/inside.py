"""Pictures that lie inside of another file, under paths that lead into it: a cell of an Arrow
table, `data.arrow/COLUMN/ROW`, or the photograph in a labelme file, `a.json/imageData`."""

from __future__ import annotations

import base64
import binascii
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from perpixel.errors import ConfigError, DataError

LABELME_IMAGE = "imageData"


def bytes_inside(path: Path) -> bytes | None:
    """The bytes that a path into a file leads to; None where it leads into no such file.

    Raises:
        DataError: there is nothing at the place.
    """
    if path.name == LABELME_IMAGE and path.parent.is_file():
        try:
            return base64.b64decode(json.loads(path.parent.read_bytes())[LABELME_IMAGE])
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise _nothing(path) from None
    table = path.parent.parent
    if table.suffix == ".arrow" and table.is_file():
        cell = arrow_table(table)[path.parent.name][int(path.name)].as_py()
        content = cell.get("bytes") if isinstance(cell, dict) else None
        if not isinstance(content, bytes):
            raise _nothing(path)
        return content
    return None


# The tables of a dataset's training and validation split, in a few files each.
@lru_cache(maxsize=64)
def arrow_table(path: Path) -> Any:
    """An Arrow file's table, mapped into memory: a cell is read when it is asked for.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the file is no Arrow file.
    """
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(
            path,
            found="an Arrow file, which pyarrow reads, and that is not installed",
            mend="Run `pip install perpixel[datasets]`",
        ) from None
    try:
        return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all()
    except (OSError, pyarrow.ArrowException) as error:
        found = f"no Arrow file ({' '.join(str(error).split())})"
        mend = "Save the dataset again with `save_to_disk`"
        raise DataError(path, found=found, mend=mend) from None


def _nothing(path: Path) -> DataError:
    return DataError(path, found="no picture at this place", mend="Store the picture, not its path")
