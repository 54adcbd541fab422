"""Unfinished masks: only what is whole is believed, whatever happened."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perpixel.errors import OutputError
from perpixel.inference.large.unfinished import Unfinished, begun
from perpixel.inference.tiles.tiling import Rectangle

SIZE = (20, 31)
KEY = {"image": "a.tif", "tile": 8}


def steps() -> list[list[Rectangle]]:
    """Rows of two parts each."""
    return [[Rectangle(top, 0, 5, 8), Rectangle(top, 8, 5, 23)] for top in range(0, SIZE[0], 5)]


def opened(path: Path, key: dict[str, object] = KEY) -> Unfinished:
    return Unfinished(path, SIZE, np.dtype(np.uint16), steps(), key)


def written(mask: np.ndarray, step: int) -> list[np.ndarray]:
    return [
        mask[part.top : part.top + part.height, part.left : part.left + part.width]
        for part in steps()[step]
    ]


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, SIZE).astype(np.uint16)


def test_what_was_written_is_there_for_the_next_run(tmp_path: Path, mask: np.ndarray) -> None:
    path = tmp_path / "mask.tif"
    assert begun(path) is None
    with opened(path) as first:
        assert first.finished == set()
        first.write(2, written(mask, 2))
        first.write(0, written(mask, 0))
    assert begun(path) == {"format": "perpixel unfinished mask 1", **KEY}
    with opened(path) as second:
        assert second.finished == {0, 2}
        second.write(1, written(mask, 1))
        second.write(3, written(mask, 3))
        np.testing.assert_array_equal(second.rows(0, 20), mask)
        np.testing.assert_array_equal(second.rows(7, 6), mask[7:13])
        second.discard()
    assert list(tmp_path.iterdir()) == []


def test_another_key_begins_anew(tmp_path: Path, mask: np.ndarray) -> None:
    path = tmp_path / "mask.tif"
    with opened(path) as first:
        first.write(2, written(mask, 2))
    with opened(path, {**KEY, "tile": 16}) as second:
        assert second.finished == set()
    with opened(path) as third:
        assert third.finished == set()


# 45: all but the first line, whose own end is lost.
@settings(max_examples=30, deadline=None)
@example(lost=45, place=0)
@given(lost=st.integers(0, 200), place=st.integers(0, 2 * SIZE[0] * SIZE[1] - 1))
def test_a_cut_journal_or_a_changed_pixel_costs_steps_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, lost: int, place: int
) -> None:
    path = tmp_path_factory.mktemp("unfinished") / "mask.tif"
    mask = np.random.default_rng(lost).integers(0, 60_000, SIZE).astype(np.uint16)
    with opened(path) as first:
        for step in range(4):
            first.write(step, written(mask, step))
    journal = path.with_name(".mask.tif.journal")
    os.truncate(journal, max(journal.stat().st_size - lost, 0))
    with path.with_name(".mask.tif.unfinished").open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 64]))
    with opened(path) as second:
        assert place // (2 * SIZE[1] * 5) not in second.finished
        for step in set(range(4)) - second.finished:
            second.write(step, written(mask, step))
        np.testing.assert_array_equal(second.rows(0, 20), mask)
    with opened(path) as third:
        assert third.finished == {0, 1, 2, 3}


def _hold(path: Path, ready: object, done: object) -> None:
    with opened(path):
        ready.set()  # type: ignore[attr-defined]
        done.wait()  # type: ignore[attr-defined]


def test_two_runs_cannot_make_the_same_mask(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path / "mask.tif", ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(OutputError, match="another run"):
            opened(tmp_path / "mask.tif")
    finally:
        done.set()
        other.join()
    opened(tmp_path / "mask.tif").close()


def test_a_full_disk_is_found_out_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="No space left"):
        opened(tmp_path / "mask.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        opened(tmp_path / "none" / "mask.tif")
