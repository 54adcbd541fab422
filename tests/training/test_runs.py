"""Runs at a glance."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from perpixel.errors import ConfigError, Stopped
from perpixel.training import TrainConfig, files, train
from perpixel.training.runs import runs_in
from perpixel.training.state_file import STATE
from training.stopping import StopAt


def test_each_run_says_what_it_is_and_how_far(quick: TrainConfig, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    train(quick.model_copy(update={"out": root / "done"}))
    stopped = quick.model_copy(update={"out": root / "deeper" / "stopped"})
    with pytest.raises(Stopped):
        train(stopped, StopAt(1))
    shutil.copytree(stopped.out, root / "begun")
    for path in (root / "begun").glob("*.safetensors"):
        path.unlink()
    (root / "no-run").mkdir()
    (root / "no-run" / files.CONFIG).write_text("a: 1\n", encoding="utf-8")
    begun, paused, done = runs_in(root)
    assert [each.folder.name for each in (begun, paused, done)] == ["begun", "stopped", "done"]
    assert (done.state, done.done) == ("finished", True)
    assert done.best == max(
        entry["validation"]["mean_iou"] for entry in files.read_metrics(root / "done")
    )
    assert (done.network, done.budget) == ("fcn8s on test_efficientnet", "2 epochs")
    assert done.data == str(quick.data)
    assert done.seconds > 0
    assert (paused.state, paused.done) == ("step 1 of 4", False)
    assert begun.state == "no state yet"
    assert math.isnan(paused.best)
    assert runs_in(root / "done")[0].folder == root / "done"


def test_damaged_files_spoil_one_line_and_not_the_list(quick: TrainConfig) -> None:
    train(quick)
    (quick.out / files.METRICS).write_text("{", encoding="utf-8")
    for path in quick.out.glob("state*"):
        path.write_bytes(b"damaged")
    (only,) = runs_in(quick.out)
    assert only.state == "no state yet, metrics damaged"
    assert (quick.out / STATE).read_bytes() == b"damaged"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        runs_in(tmp_path / "gone")
    assert runs_in(tmp_path) == []
