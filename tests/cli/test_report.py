"""`perpixel report` and `perpixel compare` on tiny drawn scenes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.conftest import Command


def test_a_report_is_written_into_the_run_folder(
    command: Command, run: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    shown = command("report", copy)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.endswith(f"wrote {copy / 'report.html'}\n")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "mean IoU" in page


def test_a_report_of_another_split_goes_where_it_is_told(
    command: Command, run: Path, drawn: Path, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    shown = command("report", run, "--html", file, "--split", "test", "--data", drawn)
    assert shown.exit_code == 0, shown.output
    assert "split “test”" in file.read_text(encoding="utf-8")
    assert not (run / "report.html").exists()


def test_a_comparison_is_a_page_and_a_table(command: Command, run: Path, tmp_path: Path) -> None:
    twin = Path(shutil.copytree(run, tmp_path / "twin"))
    file = tmp_path / "page.html"
    shown = command("compare", run, twin, "--html", file)
    assert shown.exit_code == 0, shown.output
    assert "twin" in shown.stdout
    assert "+0.0000 to +0.0000" in shown.stdout
    assert "twin" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report", "compare"])
def test_a_folder_that_holds_no_run_is_one_line_and_status_2(
    command: Command, run: Path, tmp_path: Path, name: str
) -> None:
    more = (run, "--html", tmp_path / "page.html") if name == "compare" else ()
    shown = command(name, tmp_path, *more)
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert "config.yaml" in shown.stderr
    assert not (tmp_path / "page.html").exists()


def test_a_single_run_cannot_be_compared(command: Command, run: Path, tmp_path: Path) -> None:
    shown = command("compare", run, "--html", tmp_path / "page.html")
    assert shown.exit_code == 2
    assert "two or more" in shown.stderr
