"""`perpixel check`: what it finds is what `train` refuses, in the same words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from data.check.planted import FAULTS
from data.check.right import write_right

from cli.conftest import QUICK, Command


@pytest.fixture
def right(tmp_path: Path) -> Path:
    """A dataset without a fault."""
    return write_right(tmp_path / "data")


def test_at_least_25_faults_are_planted() -> None:
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_mend_and_train_refuses_with_the_same_words(
    command: Command, right: Path, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    fault.plant(right)
    report = tmp_path / "report.json"
    checked = command("check", right, "--json", report)
    assert checked.exit_code == 2, checked.output
    errors = [
        one for one in json.loads(report.read_text())["findings"] if one["severity"] == "error"
    ]
    assert len(errors) == 1, [error["message"] for error in errors]
    assert fault.names in errors[0]["message"]
    assert fault.mend in errors[0]["mend"]

    trained = command("train", right, "--out", tmp_path / "run", *QUICK)
    assert trained.exit_code == 2
    assert trained.stderr == errors[0]["message"] + "\n"
    assert not (tmp_path / "run").exists()


def test_a_right_dataset_is_clean_and_its_table_has_every_class(
    command: Command, right: Path
) -> None:
    result = command("check", right)
    assert result.exit_code == 0, result.output
    assert "0 errors, 0 warnings" in result.output
    for word in ("sky", "road", "tree", "52×36", "train", "val"):
        assert word in result.output


def test_warnings_alone_exit_with_1_and_train_says_them_and_goes_on(
    command: Command, right: Path, tmp_path: Path
) -> None:
    shutil.copy(right / "train/images/b.png", right / "val/images/f.png")
    checked = command("check", right, "--json", tmp_path / "report.json")
    assert checked.exit_code == 1, checked.output
    (finding,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert "train/images/b.png = val/images/f.png" in finding["message"]
    trained = command("train", right, "--out", tmp_path / "run", *QUICK)
    assert trained.exit_code == 0, trained.output
    assert f"warning: {finding['message']}" in trained.output


def test_the_json_file_holds_everything(command: Command, right: Path, tmp_path: Path) -> None:
    FAULTS["a value that is no class"].plant(right)
    command("check", right, "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["status"], report["layout"], report["ignore_index"]) == (2, "folders", 255)
    train = report["splits"]["train"]
    assert (train["images"], train["masks"], train["unknown_pixels"]) == (4, 4, 4)
    assert train["sizes"] == [{"height": 36, "width": 52, "images": 4}]
    assert train["kinds"] == [{"format": "PNG", "bands": 3, "type": "uint8", "images": 4}]
    assert (
        sum(one["pixels"] for one in train["classes"]) + train["ignored_pixels"] + 4 == 4 * 36 * 52
    )
    assert report["unknown_values"] == [
        {"mask": str(right / "train/masks/b.png"), "values": [{"value": 7, "pixels": 4}]}
    ]


def test_the_page_is_written(command: Command, right: Path, tmp_path: Path) -> None:
    result = command("check", right, "--html", tmp_path / "check.html")
    assert result.exit_code == 0
    assert (tmp_path / "check.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_fix_writes_a_copy_that_is_clean_and_leaves_the_original_alone(
    command: Command, right: Path, tmp_path: Path
) -> None:
    FAULTS["classes counted from 1"].plant(right)
    FAULTS["an image cut short"].plant(right)
    before = {path: path.read_bytes() for path in right.rglob("*") if path.is_file()}
    result = command("check", right, "--fix", tmp_path / "copy")
    assert result.exit_code == 2
    assert "b.png" in result.output.split("left out of the copy")[1]
    assert "3 in train, 2 in val" in result.output
    assert {path: path.read_bytes() for path in right.rglob("*") if path.is_file()} == before
    assert command("check", tmp_path / "copy").exit_code == 0


def test_fix_does_not_write_into_the_dataset_or_over_something(
    command: Command, right: Path, tmp_path: Path
) -> None:
    inside = command("check", right, "--fix", right / "copy")
    assert inside.exit_code == 2
    assert "inside the dataset" in inside.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    over = command("check", right, "--fix", tmp_path / "full")
    assert over.exit_code == 2
    assert "is there already" in over.stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_a_folder_that_is_not_there_is_refused(command: Command, tmp_path: Path) -> None:
    result = command("check", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no such folder" in result.stderr


def test_all_that_is_wrong_with_a_folder_is_found_at_once(command: Command, right: Path) -> None:
    (right / "train/masks/a.png").unlink()
    (right / "val/images/e.png").unlink()
    FAULTS["a mask of half the size"].plant(right)
    output = command("check", right).output
    assert "3 errors" in output
    for word in ("images without a mask", "masks without an image", "size: multiple"):
        assert word in " ".join(output.replace("│", " ").split()) or word in output
