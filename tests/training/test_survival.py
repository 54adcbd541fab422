"""What happens to a run's process, and that the run ends as if it had not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import perpixel
from perpixel.checkpoint import read_checkpoint
from perpixel.errors import ConfigError, DataError, PerpixelError, Stopped
from perpixel.training import TrainConfig, files, resume, train
from perpixel.training.state_file import read_state
from training.conftest import bits, outcome
from training.stopping import StopAt, beside

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability.py"


def test_killed_ten_times_at_random_a_run_ends_as_one_left_alone() -> None:
    source = str(Path(perpixel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "10"],
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(report["kills"].values()) == 10
    assert report["trainings"] >= 1
    assert report["different"] == 0


def test_a_run_goes_on_exactly_with_another_number_of_workers(quick: TrainConfig) -> None:
    train(quick)
    stopped = beside(quick, "stopped")
    with pytest.raises(Stopped):
        train(stopped, StopAt(1))
    resume(stopped.out, workers=2)
    assert outcome(stopped.out) == outcome(quick.out)


def test_a_run_killed_before_its_first_state_begins_again(quick: TrainConfig) -> None:
    train(quick)
    again = beside(quick, "again")
    again.out.mkdir()
    shutil.copy(quick.out / files.CONFIG, again.out)
    said = StopAt()
    resume(again.out, said)
    assert any("begins again" in line for line in said.lines)
    assert outcome(again.out) == outcome(quick.out)


def test_the_state_before_is_used_where_the_last_is_damaged_and_that_is_said(
    quick: TrainConfig,
) -> None:
    train(quick)
    broken = beside(quick, "broken", save_minutes=0)
    with pytest.raises(Stopped):
        train(broken, StopAt(3))
    path = broken.out / files.STATE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    (broken.out / ".state.next.safetensors.1.part").write_bytes(b"torn")
    said = StopAt()
    resume(broken.out, said)
    assert any("damaged" in line and "step 2" in line for line in said.lines)
    assert not list(broken.out.glob(".*"))
    assert outcome(broken.out) == outcome(quick.out)


def test_a_damaged_best_model_is_said_and_replaced(quick: TrainConfig) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(3))
    (quick.out / files.MODEL).write_bytes(b"damaged")
    said = StopAt()
    resume(quick.out, said)
    assert any(files.MODEL in line and "takes its place" in line for line in said.lines)
    outcome(quick.out)


@pytest.mark.parametrize("damaged", [True, False])
def test_the_model_of_a_finished_run_is_made_anew(quick: TrainConfig, damaged: bool) -> None:
    scores = train(quick).scores
    model = quick.out / files.MODEL
    if damaged:
        model.write_bytes(b"damaged")
    else:
        model.unlink()
    again = resume(quick.out).scores
    last = files.read_metrics(quick.out)[-1]
    assert last["validation"] == again.as_json() == read_checkpoint(model).provenance["validation"]
    assert again.mean_iou <= scores.mean_iou
    state = read_state(quick.out)
    for name, value in read_checkpoint(model).weights.items():
        assert bits(value) == bits(state.tensors[f"average.{name}"]), name


def test_other_settings_or_images_than_a_run_was_begun_with_are_refused(
    quick: TrainConfig,
) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(1))
    config = quick.out / files.CONFIG
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("seed: 0", "seed: 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match="seed is 1; expected 0, with which"):
        resume(quick.out)
    config.write_text(text.replace("workers: 0", "workers: 1"), encoding="utf-8")
    for part in ("images", "masks"):
        (quick.data / "train" / part / "0.png").rename(quick.data / "train" / part / "new.png")
    with pytest.raises(ConfigError, match="other images"):
        resume(quick.out)


@pytest.mark.parametrize("what", ["classes", "disk"])
def test_a_resume_that_is_refused_changes_no_file_of_the_run(quick: TrainConfig, what: str) -> None:
    with pytest.raises(Stopped):
        train(quick.model_copy(update={"save_minutes": 0}), StopAt(3))
    (quick.out / files.STATE).write_bytes(b"damaged")
    before = {path.name: path.read_bytes() for path in quick.out.iterdir()}
    assert files.METRICS in before
    if what == "classes":
        listed = quick.data / "classes.yaml"
        listed.write_text(listed.read_text(encoding="utf-8").replace("box", "crate"))
    else:
        quick.data.rename(quick.data.with_name("elsewhere"))
    with pytest.raises(PerpixelError):
        resume(quick.out)
    assert {path.name: path.read_bytes() for path in quick.out.iterdir()} == before


def test_one_command_begins_a_run_and_goes_on_with_it(quick: TrainConfig) -> None:
    train(quick)
    same = beside(quick, "same")
    with pytest.raises(Stopped):
        train(same, StopAt(1), auto_resume=True)
    with pytest.raises(ConfigError, match="seed is 3; expected 0"):
        train(TrainConfig.of(data=same.data, out=same.out, seed=3), auto_resume=True)
    with pytest.raises(ConfigError, match="holds a run already"):
        train(same)
    train(same, auto_resume=True)
    assert outcome(same.out) == outcome(quick.out)


def test_one_command_goes_on_where_the_data_are_now(quick: TrainConfig) -> None:
    train(quick)
    moved = beside(quick, "moved")
    with pytest.raises(Stopped):
        train(moved, StopAt(1), auto_resume=True)
    elsewhere = quick.data.rename(quick.data.with_name("elsewhere"))
    with pytest.raises(DataError, match="boxes"):
        train(moved, auto_resume=True)
    train(moved.model_copy(update={"data": elsewhere}), auto_resume=True)
    assert outcome(moved.out) == outcome(quick.out)


def test_a_command_that_leaves_a_setting_open_by_name_goes_on_when_repeated(
    quick: TrainConfig,
) -> None:
    train(quick)
    again = TrainConfig.of(
        data=quick.data,
        out=quick.out.with_name("again"),
        **quick.model_dump(include=quick.model_fields_set - {"data", "out", "head"}),
        **{"head": None, "normalisation": "auto", "augmentation": {"crop": None}},
    )
    with pytest.raises(Stopped):
        train(again, StopAt(1), auto_resume=True)
    train(again, auto_resume=True)
    assert outcome(again.out) == outcome(quick.out)
    with pytest.raises(ConfigError, match="normalisation is data; expected weights"):
        train(again.model_copy(update={"normalisation": "data"}), auto_resume=True)


def test_other_masks_than_a_run_was_begun_with_are_refused(quick: TrainConfig) -> None:
    with pytest.raises(Stopped):
        train(quick, StopAt(1))
    path = quick.data / "train" / "masks" / "1.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[-3:] = 1
    cv2.imwrite(str(path), mask)
    with pytest.raises(ConfigError, match=r"other masks than .*ground has \d+ labelled"):
        resume(quick.out)
