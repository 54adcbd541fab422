"""The state's file: whole or noticed, and the one before it where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from perpixel.errors import ConfigError, OutputError
from perpixel.training import state_file
from perpixel.training.state_file import (
    PREVIOUS,
    STATE,
    forget_damaged,
    opened,
    read_facts,
    read_state,
    state_bytes,
    write_state,
)
from training.conftest import bits

TENSORS = {"network.a": torch.randn(5, 3), "average.n": torch.tensor(7), "empty": torch.ones(0)}


def content(step: int) -> bytes:
    return state_bytes(TENSORS, {"step": step, "rate": 0.1 + step, "text": "ä · ✓"})


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    write_state(tmp_path, content(3))
    state = read_state(tmp_path)
    assert state.facts == {"step": 3, "rate": 3.1, "text": "ä · ✓"} == read_facts(tmp_path)
    assert {name: bits(value) for name, value in state.tensors.items()} == {
        name: bits(value) for name, value in TENSORS.items()
    }
    assert state.notes == ()


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in range(4):
        write_state(tmp_path, content(step))
    assert {path.name for path in tmp_path.iterdir()} == {STATE, PREVIOUS}
    assert opened((tmp_path / STATE).read_bytes())[1]["step"] == 3
    assert opened((tmp_path / PREVIOUS).read_bytes())[1]["step"] == 2


def cut(whole: bytes, place: int, _: int) -> bytes:
    return whole[:place]


def flip(whole: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(whole)
    changed[place] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("harm", [cut, flip])
def test_a_cut_or_flipped_state_is_noticed_at_200_places_and_the_one_before_is_used(
    tmp_path: Path, harm: Callable[[bytes, int, int], bytes]
) -> None:
    write_state(tmp_path, content(1))
    write_state(tmp_path, content(2))
    whole = (tmp_path / STATE).read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 200):
        (tmp_path / STATE).write_bytes(harm(whole, int(place), int(rng.integers(8))))
        state = read_state(tmp_path)
        assert state.facts["step"] == 1
        (note,) = state.notes
        assert STATE in note
        assert "damaged" in note


def test_every_byte_of_a_small_state_counts() -> None:
    whole = state_bytes({"a": torch.ones(1)}, {"step": 1})
    for place in range(len(whole)):
        with pytest.raises(ValueError, match=r"header|checksum"):
            opened(flip(whole, place, place % 8))


def test_without_a_whole_state_nothing_is_loaded_and_every_file_is_named(tmp_path: Path) -> None:
    write_state(tmp_path, content(1))
    write_state(tmp_path, content(2))
    for name in (STATE, PREVIOUS):
        (tmp_path / name).write_bytes(cut((tmp_path / name).read_bytes(), 99, 0))
    with pytest.raises(ConfigError, match="no whole state") as caught:
        read_state(tmp_path)
    assert STATE in str(caught.value)
    assert PREVIOUS in str(caught.value)


def test_a_state_of_another_format_is_refused_though_the_one_before_could_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, content(1))
    monkeypatch.setattr(state_file, "VERSION", 2)
    write_state(tmp_path, content(2))
    monkeypatch.undo()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="a state of format 2; expected format 3") as caught:
        read_state(tmp_path)
    assert "version that began it" in str(caught.value)
    assert "--init-from" in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("moment", range(1, 5))
def test_a_kill_at_any_moment_of_the_writing_leaves_a_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    write_state(tmp_path, content(1))
    write_state(tmp_path, content(2))
    calls = 0
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise KilledError
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    if moment < 4:
        with pytest.raises(KilledError):
            write_state(tmp_path, content(3))
    else:
        write_state(tmp_path, content(3))
    monkeypatch.undo()
    # Renamed to its first name the new state counts; before, the one before it does.
    expected = 2 if moment < 2 else 3
    assert read_state(tmp_path).facts["step"] == expected
    forget_damaged(tmp_path)
    write_state(tmp_path, content(4))
    assert opened((tmp_path / STATE).read_bytes())[1]["step"] == 4
    assert opened((tmp_path / PREVIOUS).read_bytes())[1]["step"] == expected


def test_a_damaged_state_does_not_take_the_place_of_the_whole_one(tmp_path: Path) -> None:
    write_state(tmp_path, content(1))
    write_state(tmp_path, content(2))
    (tmp_path / STATE).write_bytes(b"damaged")
    forget_damaged(tmp_path)
    write_state(tmp_path, content(3))
    (tmp_path / STATE).write_bytes(b"damaged again")
    assert read_state(tmp_path).facts["step"] == 1


def test_a_folder_that_is_gone_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_state(tmp_path / "gone", content(1))
    assert read_facts(tmp_path / "gone") is None
