"""A disk that fails: training goes on, says so once, and everything is written when it can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from perpixel.errors import OutputError
from perpixel.training import Silence, TrainConfig, files, keeping, train
from perpixel.training.keeping import Keeper
from perpixel.training.state_file import PREVIOUS, STATE, read_state, state_bytes
from training.conftest import outcome


class Lines(Silence):
    """Keeps the lines that a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def state(step: int) -> bytes:
    return state_bytes({}, {"step": step})


def test_what_could_not_be_written_is_said_once_and_written_later(tmp_path: Path) -> None:
    said = Lines()
    folder = tmp_path / "run"
    keeper = Keeper(folder, said)
    keeper.put("a", b"old")
    keeper.put("b", b"b")
    assert not keeper.state(state(1))
    keeper.put("a", b"new")
    assert keeper.failing
    (warning,) = said.lines
    assert warning.startswith("warning:")
    assert "Training goes on" in warning
    folder.mkdir()
    assert keeper.state(state(2))
    assert not keeper.failing
    assert "can be written again" in said.lines[1]
    assert (folder / "a").read_bytes() == b"new"
    assert (folder / "b").read_bytes() == b"b"
    assert read_state(folder).facts["step"] == 2


def test_a_state_is_never_written_before_what_it_takes_for_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OutputError(path, found="no room", mend="Make room")

    keeper = Keeper(tmp_path, Lines())
    monkeypatch.setattr(keeping, "write_whole", full)
    keeper.put(files.MODEL, b"model")
    assert not keeper.state(state(1))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert keeper.state(state(2))
    assert {path.name for path in tmp_path.iterdir()} == {files.MODEL, STATE}


def test_the_end_of_a_run_does_not_fail_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAUSES", (0.0, 0.0))
    keeper = Keeper(tmp_path / "gone", Lines())
    keeper.put(files.MODEL, b"model")
    with pytest.raises(OutputError, match=r"model\.safetensors could not be written") as caught:
        keeper.finish()
    assert "--resume" in str(caught.value)


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, Lines(), writes=False)
    keeper.put("a", b"a")
    assert keeper.state(state(1))
    assert list(tmp_path.iterdir()) == []


class Moving(Lines):
    """Takes the run's folder away after its first epoch, and brings it back after another."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.epochs = 0

    def epoch(self, report: object) -> None:
        self.epochs += 1
        away = self.folder.with_name("away")
        if self.epochs == 1:
            self.folder.rename(away)
        elif self.epochs == 2:
            away.rename(self.folder)


def test_a_run_whose_folder_cannot_be_written_for_a_while_ends_as_any_other(
    quick: TrainConfig,
) -> None:
    quick = quick.model_copy(update={"epochs": 3})
    said = Moving(quick.out)
    train(quick, said)
    assert sum("Training goes on" in line for line in said.lines) == 1
    assert sum("can be written again" in line for line in said.lines) == 1
    whole = quick.model_copy(update={"out": quick.out.with_name("whole")})
    train(whole)
    assert outcome(quick.out) == outcome(whole.out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Filling(Lines):
    """Fills the disk after the first epoch, and makes room again after the second."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.ballast = disk / "ballast"
        self.epochs = 0

    def epoch(self, report: object) -> None:
        self.epochs += 1
        if self.epochs == 1:
            with suppress(OSError), self.ballast.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
        elif self.epochs == 2:
            self.ballast.unlink()


def test_a_full_disk_is_survived(quick: TrainConfig, small_disk: Path) -> None:
    quick = quick.model_copy(update={"epochs": 3, "out": small_disk / "run"})
    said = Filling(small_disk)
    train(quick, said)
    assert any("No space left" in line for line in said.lines)
    assert any("can be written again" in line for line in said.lines)
    assert {path.name for path in quick.out.iterdir()} == {
        *(files.CONFIG, files.METRICS, files.MODEL, files.CURVES, STATE, PREVIOUS)
    }
    whole = quick.model_copy(update={"out": quick.data.with_name("whole")})
    train(whole)
    assert outcome(quick.out) == outcome(whole.out)


class Locking(Lines):
    """Makes the disk read-only after the first epoch, and writable again after the second."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.disk = disk
        self.epochs = 0

    def epoch(self, report: object) -> None:
        self.epochs += 1
        if self.epochs <= 2:
            how = "remount,ro" if self.epochs == 1 else "remount,rw"
            subprocess.run(["mount", "-o", how, str(self.disk)], check=True)


def test_a_read_only_folder_is_survived(quick: TrainConfig, small_disk: Path) -> None:
    quick = quick.model_copy(update={"epochs": 3, "out": small_disk / "run"})
    said = Locking(small_disk)
    train(quick, said)
    assert any("Read-only file system" in line for line in said.lines)
    assert any("can be written again" in line for line in said.lines)
    whole = quick.model_copy(update={"out": quick.data.with_name("whole")})
    train(whole)
    assert outcome(quick.out) == outcome(whole.out)
