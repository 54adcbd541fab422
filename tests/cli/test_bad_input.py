"""Wrong input: one line on stderr that names the file and the mend, status 2, nothing left over."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cli.conftest import QUICK, Command
from perpixel.data.layouts import LAYOUTS

Refused = Callable[..., str]


def files(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Refused:
    """`refused("train", …)` asserts what every refusal has in common and returns its line."""

    def check(*arguments: object) -> str:
        before = files(tmp_path)
        result = command(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        line = result.stderr.rstrip("\n")
        # Where, what was found, and an imperative at the end.
        assert ": " in line
        assert line.endswith(".")
        assert files(tmp_path) == before
        return line

    return check


def first(folder: Path) -> Path:
    """The first file of a folder."""
    return min(folder.iterdir())


def test_no_such_folder(refused: Refused, tmp_path: Path, model: Path) -> None:
    missing = tmp_path / "missing"
    for line in (
        refused("train", missing, "--out", tmp_path / "run"),
        refused("evaluate", model, missing),
        refused("predict", model, missing, "--out", tmp_path / "out"),
    ):
        assert str(missing) in line


def test_no_pairs_found(refused: Refused, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    line = refused("train", empty, "--out", tmp_path / "run")
    assert str(empty) in line
    assert all(layout.LOOKS_FOR in line for layout in LAYOUTS)


def test_an_image_without_a_mask(refused: Refused, scenes: Path, tmp_path: Path) -> None:
    mask = first(scenes / "train" / "masks")
    mask.unlink()
    assert mask.name in refused("train", scenes, "--out", tmp_path / "run", *QUICK)


def test_a_mask_of_another_size_than_its_image(
    refused: Refused, scenes: Path, tmp_path: Path
) -> None:
    mask = first(scenes / "train" / "masks")
    cv2.imwrite(str(mask), np.zeros((149, 200), np.uint8))
    line = refused("train", scenes, "--out", tmp_path / "run", *QUICK)
    assert mask.name in line
    assert "200×149" in line
    assert "200×150" in line


def test_mask_values_outside_the_classes(refused: Refused, scenes: Path, tmp_path: Path) -> None:
    masks = sorted((scenes / "train" / "masks").iterdir())
    for value, path in enumerate(masks[:3], 77):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask[0, :5] = value
        cv2.imwrite(str(path), mask)
    line = refused("train", scenes, "--out", tmp_path / "run", *QUICK)
    for value, path in enumerate(masks[:3], 77):
        assert path.name in line
        assert str(value) in line


def test_at_most_ten_files_are_named(refused: Refused, scenes: Path, tmp_path: Path) -> None:
    source = first(scenes / "train" / "images")
    for index in range(12):
        shutil.copy(source, scenes / "train" / "images" / f"more{index:02d}.png")
        bad = np.full((150, 200), 99, np.uint8)
        cv2.imwrite(str(scenes / "train" / "masks" / f"more{index:02d}.png"), bad)
    line = refused("train", scenes, "--out", tmp_path / "run", *QUICK)
    assert sum(f"more{index:02d}.png" in line for index in range(12)) == 10
    assert "2 more" in line


def test_a_truncated_image(refused: Refused, scenes: Path, model: Path, tmp_path: Path) -> None:
    image = first(scenes / "val" / "images")
    image.write_bytes(image.read_bytes()[:1000])
    for line in (
        refused("train", scenes, "--out", tmp_path / "run", *QUICK),
        refused("evaluate", model, scenes, "--json", tmp_path / "scores.json"),
        refused("predict", model, image, "--out", tmp_path / "out"),
    ):
        assert str(image) in line


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split(refused: Refused, scenes: Path, tmp_path: Path, split: str) -> None:
    for path in (scenes / split).rglob("*.png"):
        path.unlink()
    line = refused("train", scenes, "--out", tmp_path / "run", *QUICK)
    assert str(scenes) in line
    assert split in line


def test_a_split_that_is_not_there(refused: Refused, drawn: Path, model: Path) -> None:
    assert "holdout" in refused("evaluate", model, drawn, "--split", "holdout")


def test_a_model_file_that_is_not_one_of_ours(
    refused: Refused, drawn: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "model.safetensors"
    stranger.write_bytes(b"something else entirely")
    for line in (
        refused("evaluate", stranger, drawn),
        refused("predict", stranger, drawn / "val" / "images", "--out", tmp_path / "out"),
        refused("train", drawn, "--out", tmp_path / "run", "--init-from", stranger, *QUICK),
    ):
        assert str(stranger) in line


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_model_file_that_is_cut_short(
    refused: Refused, drawn: Path, model: Path, tmp_path: Path, share: float
) -> None:
    cut = tmp_path / "model.safetensors"
    content = model.read_bytes()
    cut.write_bytes(content[: int(share * len(content))])
    assert str(cut) in refused("evaluate", cut, drawn)


def test_more_bands_than_the_model_takes(
    refused: Refused, scenes: Path, model: Path, tmp_path: Path
) -> None:
    image = scenes / "val" / "images" / "bands.tif"
    first(scenes / "val" / "images").unlink()
    rng = np.random.default_rng(0)
    write_bands(image, rng.integers(0, 255, (5, 150, 200), np.uint8))
    mask = first(scenes / "val" / "masks")
    mask.rename(mask.with_name("bands.png"))
    for line in (
        refused("predict", model, image, "--out", tmp_path / "out"),
        refused("evaluate", model, scenes),
    ):
        assert str(image) in line
        assert "5 bands" in line


def write_bands(path: Path, bands: np.ndarray) -> None:
    """A plain TIFF of any number of 8-bit bands, one after the other (TIFF 6.0, sections 2, 8)."""
    count, height, width = bands.shape
    pixels = np.ascontiguousarray(bands.transpose(1, 2, 0)).tobytes()
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, count, 8 + len(pixels)),  # bits: an array behind the pixels
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, count),
        (278, 4, 1, height),
        (279, 4, 1, len(pixels)),
        (284, 3, 1, 1),
        (338, 3, count - 1, 8 + len(pixels) + 2 * count),  # what the extra bands are: unspecified
    ]
    bits = np.full(count, 8, "<u2").tobytes()
    extra = np.zeros(count - 1, "<u2").tobytes()
    at = 8 + len(pixels) + len(bits) + len(extra)
    content = b"II*\0" + at.to_bytes(4, "little") + pixels + bits + extra
    content += len(tags).to_bytes(2, "little")
    for tag, kind, length, value in tags:
        content += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        content += length.to_bytes(4, "little") + value.to_bytes(4, "little")
    path.write_bytes(content + b"\0\0\0\0")


def test_no_space_on_the_disk(
    refused: Refused, drawn: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "fsync", full)
    scores = tmp_path / "scores.json"
    line = refused("evaluate", model, drawn, "--json", scores)
    assert str(scores) in line
    line = refused("predict", model, first(drawn / "val" / "images"), "--out", tmp_path / "out")
    assert str(tmp_path / "out") in line
    assert "No space left" in line


@pytest.mark.parametrize("name", ["missing", "empty", "run that lost its states"])
def test_a_resume_of_a_folder_without_a_state(
    refused: Refused, run: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    if name != "missing":
        folder.mkdir()
    if name == "run that lost its states":
        shutil.copy(run / "config.yaml", folder)
        shutil.copy(run / "metrics.jsonl", folder)
    assert str(folder) in refused("train", "--resume", folder)


def test_a_folder_that_no_demo_wrote_is_not_emptied(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    assert str(folder) in refused("demo", "--out", folder)
