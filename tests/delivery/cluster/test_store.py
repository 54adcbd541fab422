"""A store's files are there whole or not at all, on disks, in object stores and on servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.store import OWN, Entry, Store, is_address, opened
from perpixel.errors import OutputError

pytest.importorskip("fsspec", reason="fsspec is not installed")
CONTENT = os.urandom(5000)


@pytest.fixture(params=["disk", "memory", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path, memory: Any) -> Store:
    """Stores of each kind; a server is one whose files appear while they are written."""
    if request.param == "memory":
        return Store("memory://bucket/out")
    made = Store(str(tmp_path / "out"))
    if request.param == "server":
        made.is_local = False
    return made


def test_what_was_written_is_read_and_listed(store: Store) -> None:
    assert store.files() == {}
    store.write("a/b.png", CONTENT)
    store.write("c.png", b"")
    store.write("a/b.png", CONTENT[:7])
    assert store.read("a/b.png") == CONTENT[:7]
    files = store.files()
    assert {name: files[name].size for name in files} == {"a/b.png": 7, "c.png": 0}
    assert store.exists("c.png")
    store.remove(["c.png", "never.png"])
    assert not store.exists("c.png")


def test_a_file_that_was_not_finished_is_not_seen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a.png", CONTENT)

    def cut(path: Any, content: bytes, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", cut)
    monkeypatch.setattr(type(store.filesystem), "pipe_file", cut)
    with pytest.raises(OutputError, match=r"b\.png.*[Nn]o space left"):
        store.write("b.png", CONTENT)
    with pytest.raises(OutputError, match="o space left"):
        store.write("a.png", CONTENT[:9])
    assert store.read("a.png") == CONTENT
    assert [name for name in store.files() if not name.startswith(OWN)] == ["a.png"]


def test_on_a_server_a_file_is_renamed_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "out"))
    store.is_local = False
    seen: list[list[str]] = []
    move = type(store.filesystem).mv

    def watched(filesystem: Any, source: str, target: str, **options: Any) -> None:
        seen.append([name for name in store.files() if not name.startswith(OWN)])
        move(filesystem, source, target, **options)

    monkeypatch.setattr(type(store.filesystem), "mv", watched)
    store.write("a.png", CONTENT)
    assert seen == [[]]
    assert store.read("a.png") == CONTENT


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be written"):
        Store(str(tmp_path / "file")).write("a.png", CONTENT)


def test_what_another_program_has_written_is_seen(memory: Any) -> None:
    store = Store("memory://bucket/out")
    assert store.files() == {}
    packages.fsspec().filesystem("memory").pipe_file("/bucket/out/a.png", CONTENT)
    assert list(store.files()) == ["a.png"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://a/b", True), ("gs://a", True), ("/a/b", False), ("a:b", False), ("file:///a", False)],
)
def test_addresses_and_paths_are_told_apart(text: str, expected: bool) -> None:
    assert is_address(text) is expected


def test_a_local_path_is_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert opened("masks")[1] == str(tmp_path / "masks")
    assert opened(f"file://{tmp_path}/masks/")[1] == str(tmp_path / "masks")


def test_a_version_is_the_tag_or_the_moment() -> None:
    assert Entry.of({"size": 3, "ETag": '"x"', "LastModified": "2026-01-02T03:04:05+00:00"}) == (
        Entry(3, 1767323045.0, '"x"')
    )
    assert Entry.of({"size": 3, "mtime": 1.5}) == Entry(3, 1.5, "1.5")
    assert Entry.of({"size": None}).modified is None
