"""A file that is read and written in place, and what systems do differently with it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

# Windows locks bytes and not files: this one, which no journal is long enough to have.
_LOCKED_BYTE = 1 << 30
# What a file system says that has no locks: some network mounts and shared folders of containers.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


def open_in_place(path: Path) -> int:
    """The descriptor of a file, which is made where there is none.

    Raises:
        OSError: it cannot be opened.
    """
    # Windows would turn line ends into others.
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def lock(file: int) -> bool:
    """Keep a file, at whose beginning it stands, for this process until it is closed.

    Where the file system has no locks, nobody is kept away: a run there is worth more than the
    guard against a second one, and what both have written is believed by its checksums alone.

    Returns:
        False where another process has it.
    """
    try:
        import fcntl
    except ImportError:
        return _lock_byte(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _lock_byte(file: int) -> bool:
    import msvcrt

    os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return True


def reserve(file: int, path: Path, length: int) -> None:
    """Give an empty file its length, and find out now whether the disk has room for it.

    Where the system reserves nothing, what is free is looked at, and may be taken by others later.

    Args:
        file, path: its descriptor and its place.
        length: in bytes.

    Raises:
        OSError: the disk is too small.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, length)
        return
    if shutil.disk_usage(path.parent).free < length:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(file, length)


def read_at(file: int, length: int, at: int) -> bytes:
    """Up to so many bytes from a place on; none at the file's end."""
    if hasattr(os, "pread"):
        return os.pread(file, length, at)
    os.lseek(file, at, os.SEEK_SET)
    return os.read(file, length)


def write_at(file: int, content: bytes, at: int) -> None:
    """Write all of the content to a place.

    Raises:
        OSError: it cannot be written.
    """
    written = 0
    while written < len(content):
        rest = content[written:] if written else content
        if hasattr(os, "pwrite"):
            written += os.pwrite(file, rest, at + written)
        else:
            os.lseek(file, at + written, os.SEEK_SET)
            written += os.write(file, rest)
