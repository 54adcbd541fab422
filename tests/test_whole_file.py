"""Files are there whole, or as they were before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perpixel import whole_file
from perpixel.errors import OutputError
from perpixel.whole_file import whole, write_whole


def test_a_file_takes_the_place_of_the_old_one_and_is_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_until_it_is_whole_the_old_file_is_read(tmp_path: Path) -> None:
    path, beside = tmp_path / "file", tmp_path / ".file.part"
    path.write_bytes(b"old")
    with whole(path, beside) as given:
        assert given == beside
        given.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert not beside.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_while_writing_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), whole(path) as beside:  # noqa: PT012
        beside.write_bytes(b"ne")
        raise error
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]


def test_an_interrupted_flush_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_whole(tmp_path / "missing" / "file", b"content")
    with pytest.raises(OutputError, match="directory"):
        write_whole(tmp_path, b"content")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Not a directory"):
        write_whole(tmp_path / "file" / "inner", b"content")


def test_where_folders_are_not_opened_and_reading_flushes_nothing_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file, flushed, readable = os.open, [], set()

    def opened(path: Path, flags: int, *more: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied")
        descriptor = open_file(path, flags, *more)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            readable.add(descriptor)
        return descriptor

    def synchronised(descriptor: int) -> None:
        if descriptor in readable:
            raise OSError(9, "Bad file descriptor")
        flushed.append(descriptor)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(whole_file, "WINDOWS", True)
    write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert len(flushed) == 1
