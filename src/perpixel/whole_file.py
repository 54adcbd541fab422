"""Files that are there whole or not at all: written beside their place, flushed, and renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perpixel.errors import OutputError

# Windows opens no folders, and flushes only files that may be written to.
WINDOWS = os.name == "nt"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of any kind: whole, or not at all.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full; nothing is left.
    """
    with whole(path) as beside:
        beside.write_bytes(content)


@contextmanager
def whole(path: Path, beside: Path | None = None) -> Iterator[Path]:
    """Where to write a file that then, when all went well, takes the place of `path`.

    It is flushed to the disk and renamed, so a reader (or a crash) finds the old file or the new
    one.

    Args:
        path: of the file.
        beside: in the same folder; without it a name that no other process takes.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full; nothing is left.
    """
    beside = beside or path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            yield beside
            flush(beside)
            beside.replace(path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        flush(path.parent)
    except OSError as error:
        raise OutputError(
            path,
            found=f"cannot be written ({error.strerror or error})",
            mend="Give a place in a folder that exists, may be written to and has room",
        ) from None


def flush(path: Path) -> None:
    """See that what was written to a file, or renamed in a folder, is on the disk.

    On Windows only files: there nothing can be said of what was renamed.

    Raises:
        OSError: it is not.
    """
    if WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
