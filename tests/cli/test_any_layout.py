"""Training and evaluation on each layout, as small sets in the real format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data.written import WRITERS

import perpixel
from cli.conftest import QUICK, Command
from perpixel.cli.dataset_options import LAYOUTS as NAMED
from perpixel.data.layouts import LAYOUTS

# What is slow of a training is the network, not the layout: a step on two images is enough.
TINY = (*QUICK, "--crop", "32x32", "--epochs", 1)
# One set of each layout; what else masks may hold is read in tests/data.
ONE_OF_EACH = (
    *("folders", "lists", "flat_binary", "class_masks", "voc", "sbd", "cityscapes", "ade20k"),
    *("camvid_colours", "camvid_indices", "coco", "labelme", "csv", "huggingface"),
)


def test_the_help_names_every_layout() -> None:
    assert tuple(NAMED.split(", ")) == tuple(layout.NAME for layout in LAYOUTS)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_layout_is_trained_on_without_being_named(
    command: Command, name: str, tmp_path: Path
) -> None:
    written = WRITERS[name](tmp_path / "data")
    shown = command("train", tmp_path / "data", "--out", tmp_path / "run", *TINY)
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.output.split())
    assert f"layout {written.layout} (recognised)" in said
    assert " ".join(written.noted.split()) in said
    assert perpixel.load(tmp_path / "run" / "model.safetensors").labels.names == written.names


def test_a_layout_can_be_forced_and_the_run_keeps_it(command: Command, tmp_path: Path) -> None:
    WRITERS["camvid_colours"](tmp_path / "data")
    run = tmp_path / "run"
    shown = command("train", tmp_path / "data", "--out", run, "--layout", "camvid11", *TINY)
    assert shown.exit_code == 0, shown.output
    assert "layout camvid11 (as asked)" in shown.output
    model = run / "model.safetensors"
    assert len(perpixel.load(model).labels.names) == 11
    assert perpixel.TrainConfig.read(run / "config.yaml").layout == "camvid11"
    scores = tmp_path / "scores.json"
    shown = command("evaluate", model, tmp_path / "data", "--layout", "camvid11", "--json", scores)
    assert shown.exit_code == 0, shown.output
    assert "layout camvid11" in shown.output
    assert len(json.loads(scores.read_text())["classes"]) == 11


def test_folds_of_a_small_set_are_trained_and_scored(command: Command, tmp_path: Path) -> None:
    WRITERS["flat_binary"](tmp_path / "data")
    folds = ("--folds", 2, "--fold", 2)
    shown = command("train", tmp_path / "data", "--out", tmp_path / "run", *folds, *TINY)
    assert shown.exit_code == 0, shown.output
    assert "fold 2 of 2: 2 of 5 images validate" in shown.output
    shown = command("evaluate", tmp_path / "run" / "model.safetensors", tmp_path / "data", *folds)
    assert shown.exit_code == 0, shown.output
    assert "fold 2 of 2" in shown.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layout", "pascal"), "layout: no layout 'pascal'; expected huggingface,"),
        (("--layout", "voc"), "no images; expected JPEGImages"),
        (("--folds", 1), "fold 1 of 1; expected 2 folds or more"),
        (("--folds", 3, "--fold", 4), "fold 4 of 3"),
        (("--fold", 2), "fold 2, but not of how many"),
        (("--folds", 6), "5 images to be divided"),
    ],
)
def test_layouts_and_folds_that_are_not_there_are_one_line(
    command: Command, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    WRITERS["flat_binary"](tmp_path / "data")
    shown = command("train", tmp_path / "data", "--out", tmp_path / "run", *options)
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
