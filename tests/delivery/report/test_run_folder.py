"""Opening a run folder: what cannot be judged is refused with its place and its mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from perpixel.delivery.report import open_run
from perpixel.errors import ConfigError, DataError, ModelError


@pytest.fixture
def copy(runs, tmp_path: Path) -> Path:
    """A run to spoil."""
    return Path(shutil.copytree(runs[0], tmp_path / "copy"))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        open_run(tmp_path)


def test_a_run_without_its_model_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        open_run(copy)


def test_data_that_has_moved_is_asked_for(copy: Path, scenes: Path) -> None:
    config = (copy / "config.yaml").read_text(encoding="utf-8")
    (copy / "config.yaml").write_text(config.replace(str(scenes), "nowhere/scenes"))
    with pytest.raises(ConfigError, match=r"nowhere/scenes.*--data"):
        open_run(copy)
    assert open_run(copy, data=scenes).dataset.root == scenes


def test_the_data_is_opened_in_the_layout_that_the_run_was_given(copy: Path) -> None:
    config = (copy / "config.yaml").read_text(encoding="utf-8")
    (copy / "config.yaml").write_text(config.replace("layout: null", "layout: cityscapes"))
    with pytest.raises(DataError, match="leftImg8bit"):
        open_run(copy)


def test_data_with_other_classes_is_refused(copy: Path, scenes: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(scenes, tmp_path / "other"))
    (other / "classes.yaml").write_text("classes: [these, those]\nignore_index: 255\n")
    with pytest.raises(ConfigError, match="these, those"):
        open_run(copy, data=other)


def test_a_split_that_is_not_there_is_refused(copy: Path) -> None:
    with pytest.raises(DataError, match="holdout"):
        open_run(copy, split="holdout")


def test_a_damaged_line_of_metrics_is_told(copy: Path) -> None:
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "st')
    with pytest.raises(ConfigError, match=r"metrics\.jsonl: damaged"):
        open_run(copy)


def test_a_run_opens_with_its_settings_its_epochs_and_its_split(copy: Path) -> None:
    run = open_run(copy, split="test")
    assert run.config.network == "fcn8s"
    assert [epoch["epoch"] for epoch in run.epochs] == [1, 2]
    assert len(run.pairs) == 2
