"""`perpixel bench` on a tiny trained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from perpixel.inference import speed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and torch alone: what is measured is tested elsewhere."""
    found = speed.find_spec
    monkeypatch.setattr(speed, "in_own_process", lambda work, *arguments: work(*arguments))
    monkeypatch.setattr(speed, "find_spec", lambda name: found(name) if name == "torch" else None)


def test_a_model_is_measured_on_a_folders_images(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    images, file = drawn / "val" / "images", tmp_path / "speed.json"
    shown = command(
        *("bench", model, "--images", images, "--most", 1, "--seconds", 0, "--json", file)
    )
    assert shown.exit_code == 0, shown.output
    assert "auto takes torch" in shown.stdout
    assert "not installed: openvino, onnxruntime (pip install" in shown.stdout
    assert shown.stdout.count("← auto") == 1
    written = json.loads(file.read_text())
    rows = {(row["runtime"], row["precision"]): row for row in written["measured"]}
    assert set(rows) == {("torch", "fp32"), ("torch", "bf16")}
    assert rows["torch", "fp32"]["agreement"] == 1
    assert 0 < rows["torch", "bf16"]["agreement"] <= 1
    assert all(row["milliseconds"] > 0 and row["failure"] is None for row in rows.values())
    assert (written["auto"]["runtime"], written["auto"]["precision"]) in rows
    assert [Path(name).parent for name in written["images"]] == [images]
    assert written["threads"] == 1


def test_without_images_one_is_drawn(command: Command, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    shown = command("bench", model, "--size", "40x52", "--seconds", 0, "--json", file)
    assert shown.exit_code == 0, shown.output
    assert "drawn image of 40×52" in " ".join(shown.stdout.split())
    assert json.loads(file.read_text())["size"] == [40, 52]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--size", "40"), "expected height x width"),
        (("--images", "none"), "no such file or folder"),
        (("--images", ".", "--size", "40x52"), "--size: 40x52, and --images"),
    ],
)
def test_wrong_options_are_told_in_a_line(
    command: Command, model: Path, options: tuple[str, ...], told: str
) -> None:
    refused = command("bench", model, *options)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1
