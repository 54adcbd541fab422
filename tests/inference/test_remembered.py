"""A measurement is made once, and again where what was kept cannot be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from perpixel.inference.remembered import Seconds, cache_folder, remembered

ABOUT = {"processor": "a", "network": "b"}


class Clock:
    """Counts how often it is asked to measure."""

    def __init__(self) -> None:
        self.measured = 0

    def __call__(self) -> Seconds:
        self.measured += 1
        return {"torch fp32": 0.25 * self.measured, "openvino bf16": None}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_time_it_is_remembered(cache: Path) -> None:
    clock = Clock()
    first = remembered(ABOUT, clock)
    assert remembered(dict(reversed(ABOUT.items())), clock) == first
    assert clock.measured == 1
    assert remembered({**ABOUT, "network": "c"}, clock) != first
    assert len(list(cache.rglob("*.json"))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"about": {"processor": "a", "network": "b"}}',
        b'{"about": {"processor": "a", "network": "b"}, "seconds": {}}',
        b'{"about": {"processor": "a", "network": "b"}, "seconds": {"torch fp32": -1.0}}',
        b'{"about": {"processor": "a", "network": "b"}, "seconds": {"torch fp32": NaN}}',
        b'{"about": {"processor": "a", "network": "b"}, "seconds": {"torch fp32": "1"}}',
        b'{"about": {"processor": "z", "network": "b"}, "seconds": {"torch fp32": 1.0}}',
    ],
)
def test_a_damaged_file_is_measured_anew(cache: Path, damage: bytes) -> None:
    clock = Clock()
    remembered(ABOUT, clock)
    (file,) = cache.rglob("*.json")
    file.write_bytes(damage)
    assert remembered(ABOUT, clock)["torch fp32"] == 0.5
    assert remembered(ABOUT, clock)["torch fp32"] == 0.5
    assert clock.measured == 2


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path / "file" / "cache"))
    clock = Clock()
    remembered(ABOUT, clock)
    assert remembered(ABOUT, clock)["torch fp32"] == 0.5


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == tmp_path
    monkeypatch.delenv("PERPIXEL_CACHE")
    assert cache_folder() == Path("/elsewhere/perpixel")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "perpixel"


def test_without_a_home_it_is_measured_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("PERPIXEL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    clock = Clock()
    assert cache_folder() is None
    remembered(ABOUT, clock)
    remembered(ABOUT, clock)
    assert clock.measured == 2
