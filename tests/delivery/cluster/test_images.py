"""Which images inputs stand for, in folders and in stores, and what their masks are called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpixel.delivery.cluster.images import Image, find_images, mask_names
from perpixel.delivery.cluster.store import Entry
from perpixel.errors import ConfigError, DataError, OutputError
from perpixel.inference.inputs import Input, expand, stems

pytest.importorskip("fsspec", reason="fsspec is not installed")
ENTRY = Entry(1, 0.0, "")
PARTS = st.sampled_from(("a", "b", "a.jpg", "b.png", "a.b", "photo.tif"))
FILES = st.tuples(st.lists(PARTS, max_size=2), st.sampled_from(("a.jpg", "a.png", "b.c.jpg", "b")))


@given(
    st.sets(FILES.map(lambda one: "/".join((*one[0], one[1]))), min_size=1, max_size=8),
    st.integers(0, 2),
)
def test_a_mask_is_called_as_predict_calls_it(files: set[str], depth: int) -> None:
    roots = [PurePosixPath("/nowhere/one"), PurePosixPath("/nowhere/two"), PurePosixPath("/far")]
    placed = [(roots[index % (depth + 1)], name) for index, name in enumerate(sorted(files))]
    inputs = [Input(Path(root / name), Path(name)) for root, name in placed]
    images = [Image(str(root / name), str(root / name), name, ENTRY) for root, name in placed]
    assert said(lambda: mask_names(images)) == said(
        lambda: [f"{one.as_posix()}.png" for one in stems(inputs, (".png",))]
    )


def said(names: Callable[[], list[str]]) -> list[str] | str:
    """The names, or why there are none."""
    try:
        return names()
    except OutputError as error:
        return str(error)


def test_a_folder_is_listed_as_predict_lists_it(images: Path, tmp_path: Path) -> None:
    found = find_images([str(images)], str(tmp_path / "out"))
    expected = expand([images], tmp_path / "out")
    assert [one.address for one in found] == [str(one.path) for one in expected]
    assert [one.relative for one in found] == [one.relative.as_posix() for one in expected]
    assert [one.entry.size for one in found] == [one.path.stat().st_size for one in expected]


def test_links_to_one_file_have_masks_of_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "stored").write_bytes(b"")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").symlink_to(tmp_path / "stored")
    found = find_images([str(tmp_path / "one"), str(tmp_path / "two")], str(tmp_path / "out"))
    assert mask_names(found) == ["one/a.png", "two/a.png"]


def test_a_link_to_nothing_is_listed_for_a_worker_to_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere.png")
    (found,) = find_images([str(tmp_path)], str(tmp_path / "out"))
    assert found.address == str(tmp_path / "a.png")


def test_a_store_is_listed_as_the_same_folder_on_disk(
    images: Path, tmp_path: Path, memory: Any
) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    there = find_images(["memory://bucket/images"], "memory://bucket/images/masks")
    here = find_images([str(images)], str(tmp_path / "out"))
    assert sorted(one.relative for one in there) == sorted(one.relative for one in here)
    assert {one.relative: one.entry.size for one in there} == {
        one.relative: one.entry.size for one in here
    }
    assert sorted(mask_names(there)) == sorted(mask_names(here))
    assert all(one.address.startswith("memory://") for one in there)


@pytest.mark.parametrize("pattern", ["images/*.jpg", "images/sub/*", "images/s*", "*/sub/*.jpg"])
def test_a_pattern_means_in_a_store_what_it_means_on_disk(
    images: Path, tmp_path: Path, memory: Any, pattern: str
) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    there = find_images([f"memory://bucket/{pattern}"], "memory://bucket/out")
    here = find_images([f"{images.parent}/{pattern}"], str(tmp_path / "out"))
    assert sorted(one.relative for one in there) == sorted(one.relative for one in here)


def test_an_image_that_two_inputs_name_is_there_once(images: Path, memory: Any) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    folder, one = "memory://bucket/images", "memory://bucket/images/0.jpg"
    assert len(find_images([folder, one], "out")) == len(find_images([folder], "out"))


def test_results_of_an_earlier_run_are_no_images(images: Path, memory: Any) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    memory.put(str(images), "/bucket/images/masks", recursive=True)
    found = find_images(["memory://bucket/images"], "memory://bucket/images/masks")
    assert not [one.address for one in found if "/masks/" in one.address]
    shutil.copytree(images, images / "masks")
    found = find_images([str(images)], str(images / "masks"))
    assert not [one.address for one in found if "/masks/" in one.address]


def test_a_changed_image_has_another_version(images: Path, memory: Any) -> None:
    before = {one.address: one.entry for one in find_images([str(images)], "out")}
    (images / "0.jpg").write_bytes(b"other")
    after = {one.address: one.entry for one in find_images([str(images)], "out")}
    assert [name for name in before if before[name] != after[name]] == [str(images / "0.jpg")]


@pytest.mark.parametrize("out", ["memory://bucket/images", "memory://bucket/images/"])
def test_masks_do_not_go_among_the_images(images: Path, memory: Any, out: str) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    with pytest.raises(OutputError, match="also a folder that images are read from"):
        find_images(["memory://bucket/images"], out)
    with pytest.raises(OutputError, match="also a folder that images are read from"):
        find_images([str(images)], str(images))


def test_masks_may_go_above_the_images(images: Path, memory: Any) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    for one in ("memory://bucket/images", "memory://bucket/images/*"):
        found = find_images([one], "memory://bucket")
        assert len(found) == len(find_images([one], "memory://elsewhere")) > 1
        with pytest.raises(OutputError, match="also a folder that images are read from"):
            find_images([one], "memory://bucket/images")


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("memory://bucket/nothing", DataError, "cannot be listed"),
        ("memory://bucket/nothing/*.jpg", DataError, "no image is there"),
        ("nowhere://bucket/images", ConfigError, "nowhere"),
        ("/no/such/folder", DataError, "no such file or folder"),
    ],
)
def test_what_stands_for_nothing_is_said(
    memory: Any, address: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        find_images([address], "out")
