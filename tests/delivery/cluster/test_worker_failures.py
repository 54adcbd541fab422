"""What a worker does where reading, writing or an image itself fails. No Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.cluster.calling import JOB, Make, called, tasks_of
from perpixel.delivery.cluster import worker as module
from perpixel.delivery.cluster.attempts import GROUP, IMAGE
from perpixel.delivery.cluster.store import Store
from perpixel.errors import ConfigError, DataError, ModelError, OutputError, PerpixelError
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.predictor import Model

for name in ("pyarrow", "fsspec"):
    pytest.importorskip(name, reason=f"{name} is not installed")


def test_what_cannot_be_read_today_may_be_tomorrow(
    make: Make, images: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    tasks = tasks_of(str(images), out)
    Path(tasks[0].image).unlink()
    rows = called(make(out), tasks)
    assert [row["try_again"] for row in rows] == [True] + [False] * 7
    assert rows[0]["error"].startswith(f"{tasks[0].image}: FileNotFoundError")


@pytest.mark.parametrize(
    ("kind", "passes"),
    [(DataError, False), (ModelError, False), (ConfigError, True), (OutputError, True)],
)
def test_a_full_disk_or_too_little_memory_is_tried_again_and_a_bad_image_is_not(
    make: Make, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    kind: type[PerpixelError], passes: bool,
) -> None:  # fmt: skip
    def refused(large: LargeImages, image: Path, *rest: Any) -> Any:
        raise kind(image, found="no room", mend="Make some")

    monkeypatch.setattr(LargeImages, "predict", refused)
    out = str(tmp_path / "out")
    whole = [one for one in tasks_of(str(images), out) if "cut" not in one.image]
    rows = called(make(out, replace(JOB, tile=4)), whole)
    assert [row["error"] for row in rows] == [f"{one.image}: no room. Make some." for one in whole]
    assert [row["try_again"] for row in rows] == [passes] * len(whole)


@pytest.mark.parametrize("settings", [{"tile": 4, "flip": True}, {"tile": 4, "scales": (0.5,)}])
def test_what_needs_an_image_whole_is_tried_again_with_more_memory(
    make: Make, images: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    out = str(tmp_path / "out")
    whole = [one for one in tasks_of(str(images), out) if "cut" not in one.image]
    rows = called(make(out, replace(JOB, **settings)), whole)
    assert all("allow more memory" in row["error"] and row["try_again"] for row in rows)


def test_fetched_images_that_go_in_tiles_do_not_pile_up(
    make: Make, images: Path, tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)

    def refused(large: LargeImages, image: Path, *rest: Any) -> Any:
        assert image.exists()
        raise OutputError(image, found="no room", mend="Make some")

    out = "memory://bucket/masks"
    worker = make(out, replace(JOB, tile=4))
    (first, second, *_) = tasks_of("memory://bucket/images", out)
    read = worker._read(tmp_path, first, again=False)
    assert read.path.exists()
    worker._by_tiles(first, read.path)
    assert not read.path.exists()
    monkeypatch.setattr(LargeImages, "predict", refused)
    read = worker._read(tmp_path, second, again=False)
    with pytest.raises(OutputError):
        worker._by_tiles(second, read.path)
    assert not read.path.exists()


def test_an_image_that_nobody_thought_of_does_not_stop_the_others(
    make: Make, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    tasks = tasks_of(str(images), out)
    actual = module.masked

    def strange(model: Model, image: Any, name: str, *rest: Any) -> Any:
        if name == tasks[2].image:
            raise RuntimeError("out of\nmemory")
        return actual(model, image, name, *rest)

    monkeypatch.setattr(module, "masked", strange)
    rows = called(make(out), tasks)
    assert rows[2]["error"] == f"{tasks[2].image}: RuntimeError: out of memory"
    assert [bool(row["mask"]) for row in rows] == [
        "cut" not in task.image and task is not tasks[2] for task in tasks
    ]


def test_a_store_that_fails_for_a_moment_is_asked_again(
    make: Make, images: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    out = "memory://bucket/masks"
    worker, tasks = make(out), tasks_of("memory://bucket/images", out)[:2]
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    calls = {"get": 0, "put": 0}
    get, put = type(memory).get_file, Store.write

    def fetched(*arguments: Any, **options: Any) -> Any:
        calls["get"] += 1
        if calls["get"] == 1:
            raise ConnectionError("reset")
        return get(*arguments, **options)

    def put_twice(store: Store, name: str, content: bytes) -> None:
        calls["put"] += 1
        if calls["put"] <= 2:
            raise OutputError(name, found="cannot be written (slow down)", mend="Wait")
        put(store, name, content)

    monkeypatch.setattr(type(memory), "get_file", fetched)
    monkeypatch.setattr(Store, "write", put_twice)
    assert [row["error"] for row in called(worker, tasks)] == [None, None]
    assert len(pauses) == 3


def test_a_store_that_takes_no_masks_ends_the_run(make: Make, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be written"):
        called(make(str(tmp_path / "out")), tasks_of(str(images), str(tmp_path / "elsewhere")))


def test_an_image_that_ends_every_worker_is_left_out_and_the_others_are_done(
    make: Make, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    tasks = [one for one in tasks_of(str(images), out) if "cut" not in one.image]
    actual = module.masked

    class End(BaseException):
        """A worker's: nothing in it catches that."""

    def deadly(model: Model, image: Any, name: str, *rest: Any) -> Any:
        if name == tasks[3].image:
            raise End
        return actual(model, image, name, *rest)

    monkeypatch.setattr(module, "masked", deadly)
    ends = 0
    while True:
        try:
            rows = called(make(out), tasks)
        except End:
            ends += 1
        else:
            break
    assert ends == GROUP + IMAGE
    assert rows[3]["error"] == f"{tasks[3].image}: {IMAGE} workers ended while they predicted it"
    assert rows[3]["try_again"]
    assert all(row["mask"] for row in rows if row is not rows[3])
