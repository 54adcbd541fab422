"""The manifest: one row for each image, whatever was lost in between."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import pytest

from perpixel.delivery.cluster import manifest as module
from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.manifest import JOURNAL, MANIFEST, Known, Manifest, schema
from perpixel.delivery.cluster.outstanding import Task
from perpixel.delivery.cluster.rows import done_row, failed_row
from perpixel.delivery.cluster.store import Store

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("fsspec", reason="fsspec is not installed")
CLASSES = ("sky", "a boat, small")
IMAGES = [f"/images/{number}.jpg" for number in range(7)]


def task(image: str, version: str = "v1") -> Task:
    return Task(image, 100, version, f"{image[8:-4]}.png")


def table(tasks: Sequence[Task], mask: bytes = b"mask") -> Any:
    rows = [done_row(one, mask, (3, 5), {"sky": 0.25, "a boat, small": 0.75}) for one in tasks]
    return packages.pyarrow().Table.from_pylist(rows, schema=schema(CLASSES))


@pytest.fixture
def store(memory: Any) -> Store:
    return Store("memory://out")


def opened(store: Store) -> Manifest:
    return Manifest(store, CLASSES, store.files())


def rows(store: Store) -> list[dict[str, Any]]:
    content = io.BytesIO(store.read(MANIFEST))
    return list(packages.parquet().read_table(content).to_pylist())


def test_rows_come_in_in_any_order_and_lie_in_the_images_order(store: Store) -> None:
    manifest = opened(store)
    for start in (4, 0, 2):
        manifest.add(table([task(image) for image in IMAGES[start : start + 2]]))
    failed = failed_row(task(IMAGES[6]), "6.jpg: a damaged image. Leave it out.", try_again=False)
    manifest.add(packages.pyarrow().Table.from_pylist([failed], schema=schema(CLASSES)))
    manifest.finish(IMAGES)
    found = rows(store)
    assert [row["image"] for row in found] == IMAGES
    assert found[0] == {
        **{"image": IMAGES[0], "size": 100, "version": "v1", "mask": "0.png", "mask_size": 4},
        **{"sha256": hashlib.sha256(b"mask").hexdigest()},
        **{"height": 3, "width": 5, "areas": {"sky": 0.25, "a boat, small": 0.75}},
        **{"error": None, "try_again": False},
    }
    assert found[6]["error"] == "6.jpg: a damaged image. Leave it out."
    assert found[6]["mask"] is None
    assert found[6]["areas"] is None
    assert list(store.files()) == [MANIFEST]


def test_rows_of_a_run_that_was_lost_are_there_for_the_next(store: Store) -> None:
    manifest = opened(store)
    manifest.add(table([task(image) for image in IMAGES[:3]]))
    manifest.keep()
    manifest.add(table([task(IMAGES[3])]))
    manifest.keep()
    manifest.add(table([task(IMAGES[4])]))  # not kept: lost
    following = opened(store)
    assert list(following.known()) == IMAGES[:4]
    assert following.known()[IMAGES[0]] == Known(100, "v1", "0.png", 4, False)
    following.finish(IMAGES)
    assert [row["image"] for row in rows(store)] == IMAGES[:4]


def test_of_two_rows_for_an_image_the_later_counts(store: Store) -> None:
    manifest = opened(store)
    manifest.add(table([task(image) for image in IMAGES]))
    manifest.finish(IMAGES)
    manifest = opened(store)
    manifest.add(table([task(IMAGES[2], "v2")], b"other mask"))
    manifest.keep()
    manifest = opened(store)
    assert manifest.known()[IMAGES[2]] == Known(100, "v2", "2.png", 10, False)
    manifest.add(table([task(IMAGES[2], "v3")], b"third"))
    manifest.finish(IMAGES)
    assert [row["version"] for row in rows(store)] == ["v1", "v1", "v3", "v1", "v1", "v1", "v1"]


def test_images_that_are_gone_leave_the_manifest(store: Store) -> None:
    manifest = opened(store)
    manifest.add(table([task(image) for image in IMAGES]))
    manifest.finish(IMAGES)
    opened(store).finish(IMAGES[2:5])
    assert [row["image"] for row in rows(store)] == IMAGES[2:5]


def test_a_manifest_that_is_complete_is_not_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = opened(store)
    manifest.add(table([task(image) for image in IMAGES]))
    manifest.finish(IMAGES)
    monkeypatch.setattr(Store, "write", None)
    assert len(opened(store).finish(IMAGES)) == len(IMAGES)


def test_rows_are_kept_when_there_are_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    manifest = opened(store)
    for image in IMAGES:
        manifest.add(table([task(image)]))
    assert list(opened(store).known()) == IMAGES[:4]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all" * 50])
def test_a_damaged_file_of_rows_is_as_if_it_were_not_there(store: Store, content: bytes) -> None:
    manifest = opened(store)
    manifest.add(table([task(image) for image in IMAGES]))
    manifest.finish(IMAGES)
    store.write(MANIFEST, content)
    store.write(f"{JOURNAL}1.parquet", content)
    assert opened(store).known() == {}


def test_a_table_with_other_columns_is_as_if_it_were_not_there(store: Store) -> None:
    manifest = Manifest(store, ("other", "classes"), {})
    manifest.finish([])
    manifest = opened(store)
    assert manifest.known() == {}
    manifest.add(table([task(IMAGES[0])]))
    manifest.finish(IMAGES)
    assert [row["image"] for row in rows(store)] == IMAGES[:1]
