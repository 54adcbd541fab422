"""Files are there whole, or as they were before."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from perpixel import whole_file
from perpixel.errors import OutputError
from perpixel.whole_file import flush_folder, whole, write_text, write_whole


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


@pytest.mark.parametrize("place", ["", ".", "/"])
def test_a_folder_where_a_file_is_to_be_written_is_said(place: str) -> None:
    with pytest.raises(OutputError, match="a folder, where a file is to be written"):
        write_whole(Path(place), b"content")


def test_names_as_long_as_they_may_be_are_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".png")
    write_whole(path, b"content")
    assert path.read_bytes() == b"content"


def test_bytes_of_a_name_that_are_no_text_are_written_as_json_has_them(tmp_path: Path) -> None:
    name = os.fsdecode(b"stra\xdfe.jpg")
    write_text(tmp_path / "file", json.dumps({"straße": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "file").read_text(encoding="utf-8")) == {"straße": name}


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_flushes_no_folders_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    fsync = os.fsync

    def flushed(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flushed)
    if refused:
        with pytest.raises(OutputError, match="Input/output error"):
            write_whole(tmp_path / "file", b"content")
    else:
        write_whole(tmp_path / "file", b"content")
        flush_folder(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"content"


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


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"content")
    reader.join(60)
    assert read == [b"content"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
