"""Files that are there whole or not at all: written beside their place, flushed, and renamed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perpixel.errors import OutputError

# Windows opens no folders, and flushes only files that may be written to.
WINDOWS = os.name == "nt"
# What a file system says that flushes no folders (shared folders of virtual machines, some network
# mounts), or a folder that may be written to and not read: what was renamed in it is renamed.
NOT_FLUSHED = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of any kind: whole, or not at all.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full; nothing is left.
    """
    with whole(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, as `write_whole` does.

    What UTF-8 cannot hold, bytes of a file's name that are no text, is written as JSON has it: an
    escape such as `\\udcdf`.

    Raises:
        OutputError: as `write_whole`.
    """
    write_whole(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def whole(path: Path, beside: Path | None = None) -> Iterator[Path]:
    """Where to write a file that then, when all went well, takes the place of `path`.

    It is flushed to the disk and renamed, so a reader (or a crash) finds the old file or the new
    one. Devices and pipes, such as /dev/stdout, are written to as they are.

    Args:
        path: of the file.
        beside: in the same folder; without it a name that no other process takes.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full; nothing is left.
    """
    if not path.name:
        mend = "Give the name of a file"
        raise OutputError(path, found="a folder, where a file is to be written", mend=mend)
    if _is_no_file(path):
        try:
            yield path
        except OSError as error:
            raise _cannot(path, error) from None
        return
    beside = beside or _beside(path)
    try:
        try:
            yield beside
            flush(beside)
            beside.replace(path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise _cannot(path, error) from None


def _is_no_file(path: Path) -> bool:
    """Whether it is a device or a pipe, in whose place no file may come; it is written to."""
    there = path.exists() and not path.is_dir()
    return there and (not path.is_file() or path.parent == Path("/dev"))


def _cannot(path: Path, error: OSError) -> OutputError:
    return OutputError(
        path,
        found=f"cannot be written ({error.strerror or error})",
        mend="Give a place in a folder that exists, may be written to and has room",
    )


def _beside(path: Path) -> Path:
    """A name in the same folder that no other process takes."""
    name = os.fsencode(path.name)
    # A name may have 255 bytes, on some file systems fewer: a long one is not made longer.
    short = path.name if len(name) <= 100 else hashlib.sha256(name).hexdigest()[:32]
    return path.with_name(f".{short}.{os.getpid()}.part")


def flush(path: Path) -> None:
    """See that what was written to a file is on the disk.

    Raises:
        OSError: it is not.
    """
    descriptor = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """See that what was renamed in a folder is on the disk, where the file system can be asked.

    Raises:
        OSError: it is not.
    """
    if WINDOWS:
        return
    try:
        flush(path)
    except OSError as error:
        if error.errno not in NOT_FLUSHED:
            raise
