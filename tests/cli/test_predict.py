"""`perpixel predict` on tiny drawn scenes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import perpixel
from cli.conftest import Command


def test_each_image_gets_its_mask_and_what_else_was_asked_for(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    out, areas = tmp_path / "masks", tmp_path / "areas.csv"
    images = drawn / "val" / "images"
    shown = command(
        *("predict", model, images, "--out", out, "--areas", areas),
        *("--overlay", "--probabilities", "--min-confidence", 0.3),
    )
    assert shown.exit_code == 0, shown.output
    assert "wrote 2 of 2 masks" in shown.stdout
    loaded = perpixel.load(model)
    for image in images.iterdir():
        with Image.open(out / f"{image.stem}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(mask, loaded.predict(image).below(0.3).mask)
        assert (out / f"{image.stem}_overlay.jpg").is_file()
        assert np.load(out / f"{image.stem}.npy").shape == (6, 150, 200)
    assert len(areas.read_text(encoding="utf-8").splitlines()) == 3


def test_one_unreadable_image_is_reported_the_others_are_done_and_the_status_is_1(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    images = Path(shutil.copytree(drawn / "val" / "images", tmp_path / "images"))
    first, second = sorted(images.iterdir())
    first.write_bytes(first.read_bytes()[:500])
    shown = command("predict", model, f"{images}/*.png", "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert shown.stderr.count("\n") == 1
    assert str(first) in shown.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [second.name]


def test_nothing_usable_is_status_2(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(next((drawn / "val" / "images").iterdir()).read_bytes()[:500])
    refused = command("predict", model, cut, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert str(cut) in refused.stderr
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_masks_for_labelling_tools_can_be_scored_and_so_trained_on(
    command: Command, model: Path, drawn: Path, tmp_path: Path, form: str
) -> None:
    out, scores = tmp_path / "out", tmp_path / "scores.json"
    shown = command("predict", model, drawn / "val/images", "--out", out, "--format", form)
    assert shown.exit_code == 0, shown.output
    shown = command("evaluate", model, out, "--split", "train", "--json", scores)
    assert shown.exit_code == 0, shown.output
    assert f"layout {form}" in shown.stdout
    # A model agrees with its own predictions.
    assert json.loads(scores.read_text())["pixel_accuracy"] == 1.0


def test_a_single_image_is_not_worth_a_measurement(
    command: Command,
    model: Path,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PERPIXEL_RUNTIME", raising=False)
    monkeypatch.delenv("PERPIXEL_PRECISION", raising=False)
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path / "cache"))
    image = next((drawn / "val" / "images").iterdir())
    shown = command("predict", model, image, "--out", tmp_path / "a")
    assert shown.stdout.splitlines()[0].startswith("computed by torch fp32 (nothing faster")
    assert not (tmp_path / "cache").exists()


def test_it_says_what_computes_and_takes_what_was_asked_for(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    image = next((drawn / "val" / "images").iterdir())
    shown = command("predict", model, image, "--out", tmp_path / "a")
    assert shown.stdout.splitlines()[0] == "computed by torch fp32 (asked for)"
    asked = ("--runtime", "torch", "--precision", "bf16")
    shown = command("predict", model, image, "--out", tmp_path / "b", *asked)
    assert shown.stdout.splitlines()[0] == "computed by torch bf16 (asked for)"
    exact, near = (
        np.asarray(Image.open(tmp_path / out / f"{image.stem}.png")) for out in ("a", "b")
    )
    assert (exact == near).mean() > 0.95
    refused = command("predict", model, image, "--out", tmp_path / "c", "--precision", "int8")
    assert refused.exit_code == 2
    assert "openvino-int8" in refused.stderr
