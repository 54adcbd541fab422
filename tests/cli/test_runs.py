"""`perpixel runs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command


def test_a_run_is_a_row(command: Command, run: Path) -> None:
    shown = command("runs", run.parent)
    assert shown.exit_code == 0, shown.output
    for part in ("best mean IoU", "fcn4s on", "1 epoch", "finished"):
        assert part in shown.stdout


def test_a_run_in_the_working_directory_has_its_name(
    command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert run.name in command("runs").stdout


def test_no_runs_and_no_folder(command: Command, tmp_path: Path) -> None:
    assert "no runs in" in command("runs", tmp_path).stdout
    refused = command("runs", tmp_path / "gone")
    assert refused.exit_code == 2
    assert "no such folder" in refused.stderr
