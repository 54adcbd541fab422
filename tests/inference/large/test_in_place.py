"""Files in place on systems that lack what Linux has. The systems themselves are not tested."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inference.large.test_unfinished import mask, opened, written
from perpixel.errors import OutputError
from perpixel.inference.large.in_place import lock, open_in_place

__all__ = ["mask"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what macOS (the first) and Windows lack."""
    for name in ("posix_fallocate", "pread", "pwrite"):
        monkeypatch.delattr(os, name)


@pytest.mark.usefixtures("bare")
def test_what_was_written_is_there_for_the_next_run(tmp_path: Path, mask: np.ndarray) -> None:
    path = tmp_path / "mask.tif"
    with opened(path) as first:
        for step in (3, 1):
            first.write(step, written(mask, step))
    with opened(path) as second:
        assert second.finished == {1, 3}
        for step in (0, 2):
            second.write(step, written(mask, step))
        np.testing.assert_array_equal(second.rows(0, 20), mask)


@pytest.mark.usefixtures("bare")
def test_a_full_disk_is_found_out_where_nothing_can_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * 31 * 2 - 1))
    with pytest.raises(OutputError, match="No space left"):
        opened(tmp_path / "mask.tif")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * 31 * 2))
    opened(tmp_path / "mask.tif").close()


def test_where_bytes_are_locked_it_is_one_that_holds_nothing_and_is_locked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[int] = []

    def locking(file: int, mode: int, count: int) -> None:
        assert (mode, count) == (2, 1)
        place = os.lseek(file, 0, os.SEEK_CUR)
        if place in locked:
            raise PermissionError(13, "Permission denied")
        locked.append(place)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    stand_in = SimpleNamespace(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    file = open_in_place(tmp_path / "journal")
    assert lock(file)
    assert not lock(file)
    assert locked[0] > 10**9
    assert os.lseek(file, 0, os.SEEK_CUR) == 0
    assert os.fstat(file).st_size == 0
    os.close(file)


def test_files_that_are_not_removed_while_open_are_removed_when_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink
    with opened(tmp_path / "mask.tif") as unfinished:
        with monkeypatch.context() as patch:

            def refuse(path: Path, missing_ok: bool = False) -> None:
                raise PermissionError(13, "in use", str(path))

            patch.setattr(Path, "unlink", refuse)
            unfinished.discard()
        assert Path.unlink is unlink
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    with opened(tmp_path / "mask.tif") as unfinished:
        assert unfinished.finished == set()


def test_a_lock_that_fails_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OutputError, match=r"mask.tif: cannot be written"):
        opened(tmp_path / "mask.tif")
