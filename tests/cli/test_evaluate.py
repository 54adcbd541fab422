"""`perpixel evaluate` on tiny drawn scenes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.written.small import save

import perpixel
from cli.conftest import Command
from perpixel.delivery.scenes import CLASSES
from perpixel.labels import LabelSpace

KEYS = {
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "mean_dice",
    "classes",
}


def test_the_table_and_the_json_hold_what_the_library_computes(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    shown = command("evaluate", model, drawn, "--json", file)
    assert shown.exit_code == 0, shown.output
    scores = json.loads(file.read_text(encoding="utf-8"))
    pairs = perpixel.open_dataset(drawn).split("val")
    assert scores == perpixel.evaluate(perpixel.load(model), pairs).as_json()
    assert scores.keys() == KEYS
    assert list(scores["classes"]) == list(CLASSES.names)
    assert all(
        of.keys() == {"iou", "accuracy", "dice", "pixels"} for of in scores["classes"].values()
    )
    row = re.search(r"mean IoU\s+│\s+(\S+)", shown.stdout)
    assert row is not None
    assert float(row[1]) == pytest.approx(scores["mean_iou"], abs=1e-4)
    assert all(name in shown.stdout for name in CLASSES.names)


def test_scores_are_those_that_training_saw(
    command: Command, model: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    command("evaluate", model, drawn, "--json", file)
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert json.loads(file.read_text(encoding="utf-8")) == last["validation"]


def test_another_split_and_test_time_augmentation_change_the_scores(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    scores = []
    for index, more in enumerate([(), ("--split", "test"), ("--scales", 0.5, 1, "--flip")]):
        file = tmp_path / f"{index}.json"
        shown = command("evaluate", model, drawn, "--json", file, *more)
        assert shown.exit_code == 0, shown.output
        scores.append(json.loads(file.read_text(encoding="utf-8"))["mean_iou"])
    assert len(set(scores)) == 3


def test_data_whose_classes_have_other_names_are_scored_and_it_is_said(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(drawn, tmp_path / "other"))
    file = other / "classes.yaml"
    labels = LabelSpace.read(file)
    names = ("something else", *labels.names[1:])
    file.write_text(labels.model_copy(update={"names": names}).as_yaml(), encoding="utf-8")
    shown = command("evaluate", model, other)
    assert shown.exit_code == 0, shown.output
    assert f"model's: {labels.names[0]} / something else" in shown.stdout
    names = labels.names[::-1]
    file.write_text(labels.model_copy(update={"names": names}).as_yaml(), encoding="utf-8")
    refused = command("evaluate", model, other)
    assert refused.exit_code == 2
    assert "another order" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_folder_that_lacks_a_class_of_the_models_is_not_scored_shifted(
    command: Command, model: Path, tmp_path: Path
) -> None:
    names = CLASSES.names
    # One mask file for each class, as the classes are collected from: the model's second has none.
    for stem in "abc":
        save(np.zeros((20, 24, 3), np.uint8), tmp_path / "images" / f"{stem}.png")
        for name in (names[0], *names[2:]):
            save(np.full((20, 24), 255, np.uint8), tmp_path / "masks" / name / f"{stem}.png")
    refused = command("evaluate", model, tmp_path)
    assert refused.exit_code == 2
    assert "another order" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    labels = LabelSpace.of(names)
    (tmp_path / "classes.yaml").write_text(labels.as_yaml(), encoding="utf-8")
    assert command("evaluate", model, tmp_path).exit_code == 0


def test_another_precision_can_be_scored(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    shown = command("evaluate", model, drawn)
    assert "computed by" not in shown.stdout
    file = tmp_path / "scores.json"
    shown = command("evaluate", model, drawn, "--precision", "bf16", "--json", file)
    assert shown.exit_code == 0, shown.output
    assert "computed by torch bf16 (asked for)" in shown.stdout
    assert json.loads(file.read_text(encoding="utf-8")).keys() == KEYS
