"""Two processes that torchrun starts train as one does, and survive the loss of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import perpixel
from perpixel.data.layouts import open_dataset
from perpixel.delivery.demo import write_scenes
from perpixel.errors import ConfigError
from perpixel.inference.evaluation import evaluate
from perpixel.inference.predictor import load
from perpixel.training import TrainConfig, files, train
from perpixel.training.batch_norm import chosen
from perpixel.training.processes import Processes
from perpixel.training.state_file import read_state
from perpixel.training.step import Stepper
from training.conftest import outcome
from training.several import KILLED_IN, settings

SCRIPT = Path(__file__).with_name("several.py")
TRAINING, VALIDATION = 6, 3


def torchrun(folder: Path, mode: str, *options: str) -> None:
    source = str(Path(perpixel.__file__).parents[1])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    # A port of its own, whichever is free.
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", *options]
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder), mode],
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning:" not in done.stderr


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes to train on."""
    folder = tmp_path_factory.mktemp("several")
    write_scenes(folder / "data", 0, {"train": TRAINING, "val": VALIDATION})
    return folder


@pytest.fixture(scope="module")
def folder(scenes: Path) -> Path:
    """Scenes, and what two processes made of them with frozen and with synchronised batch norms."""
    torchrun(scenes, "run")
    return scenes


def noted(folder: Path, name: str, what: str) -> list[tuple[int, int, int, list[str]]]:
    """(rank, generation, step, images) of each line that was written down."""
    found = []
    for rank in (0, 1):
        for line in (folder / f"{name}.{rank}.jsonl").read_text(encoding="utf-8").splitlines():
            kind, generation, step, paths = json.loads(line)
            if kind == what:
                found.append((rank, generation, step, paths))
    return found


@pytest.mark.parametrize(("kind", "alone"), [("frozen", "frozen"), ("synchronised", "own")])
def test_the_first_gradient_is_that_of_one_process_with_the_joint_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, alone: str
) -> None:
    config = settings(folder, kind, batch_norm=alone)
    first = first_gradient(config.model_copy(update={"out": tmp_path / "alone"}), monkeypatch)
    check_gradient(folder / f"{kind}.gradient.safetensors", first)
    losses = [files.read_metrics(at)[0]["loss"] for at in (tmp_path / "alone", folder / kind)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def first_gradient(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Of one process that trains an epoch."""
    torch.set_num_threads(1)
    first: dict[str, torch.Tensor] = {}
    update = Stepper.update

    def kept(self: Stepper, rate: float) -> None:
        for name, weight in self.own.named_parameters():
            assert weight.grad is not None
            first.setdefault(name, weight.grad.clone())
        update(self, rate)

    monkeypatch.setattr(Stepper, "update", kept)
    train(config.model_copy(update={"epochs": 1}))
    return first


def check_gradient(file: Path, first: dict[str, torch.Tensor]) -> None:
    together = load_file(file)
    assert together.keys() == first.keys()
    largest = max(float(gradient.abs().max()) for gradient in first.values())
    assert largest > 0
    for name, gradient in first.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-3, atol=1e-5 * largest)


def test_one_process_measures_the_precision_of_both_and_waits_for_nobody(scenes: Path) -> None:
    torchrun(scenes, "measured")
    facts = read_state(scenes / "measured").facts
    assert facts["precision"] in ("fp32", "bf16")
    assert facts["step"] == 2


def test_processes_with_shares_of_different_sizes_take_as_many_parts(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchrun(scenes, "uneven")
    assert [len(paths) for _, _, step, paths in noted(scenes, "uneven", "step") if step == 1] == [
        3,
        2,
    ]
    # Images 0 to 4 go in turn to either, so both parts hold those that one process takes together.
    config = settings(scenes, "uneven", batch_norm="own").model_copy(
        update={"out": tmp_path / "alone", "batch_size": 5, "accumulate": 2}
    )
    check_gradient(scenes / "uneven.gradient.safetensors", first_gradient(config, monkeypatch))


@pytest.mark.parametrize("kind", ["frozen", "synchronised"])
def test_counts_of_two_processes_are_those_of_one_and_no_image_is_scored_twice(
    folder: Path, kind: str
) -> None:
    model = load(folder / kind / files.MODEL)
    alone = evaluate(model, open_dataset(folder / "data").split("val"))
    assert np.array_equal(alone.counts, read_state(folder / kind).facts["best_counts"])
    scored = Counter(name for *_, paths in noted(folder, kind, "scored") for name in paths)
    assert len(scored) == VALIDATION
    assert set(scored.values()) == {4}


@pytest.mark.parametrize("kind", ["frozen", "synchronised"])
def test_every_sample_is_seen_once_in_each_epoch(folder: Path, kind: str) -> None:
    check_epochs(noted(folder, kind, "step"))


def check_epochs(steps: list[tuple[int, int, int, list[str]]]) -> None:
    last: dict[tuple[int, int], tuple[int, list[str]]] = {}
    for rank, generation, step, paths in steps:
        last[step, rank] = max(last.get((step, rank), (-1, [])), (generation, paths))
    assert sorted({step for step, _ in last}) == list(range(1, 9))
    for epoch in range(4):
        seen: Counter[str] = Counter()
        for step in (2 * epoch + 1, 2 * epoch + 2):
            (_, first), (_, second) = last[step, 0], last[step, 1]
            assert len(first) == len(second) == 2
            seen.update([*first, *second])
        # Eight places for six samples: the last batch is filled up from the epoch's beginning.
        assert len(seen) == TRAINING
        assert sorted(seen.values()) == [1] * 4 + [2] * 2


def test_a_killed_worker_comes_back_and_the_run_ends_as_an_undisturbed_one(folder: Path) -> None:
    torchrun(folder, "killed", "--max-restarts", "5", "--monitor-interval", "0.1")
    steps = noted(folder, "killed", "step")
    # A restart that does not find its group is followed by another, which does.
    assert len({generation for _, generation, *_ in steps}) == 2
    assert not [
        1 for rank, generation, step, _ in steps if generation == 0 and step >= KILLED_IN and rank
    ]
    check_epochs(steps)
    assert outcome(folder / "killed") == outcome(folder / "frozen")


def test_batch_norms_are_synchronised_where_a_process_has_few_images() -> None:
    processes = Processes.start()
    assert chosen("auto", processes, 2) == "own"
    processes.world = 2
    assert chosen("auto", processes, 8) == "synchronised"
    assert chosen("auto", processes, 16) == "own"
    assert chosen("frozen", processes, 16) == "frozen"


def test_processes_that_torchrun_did_not_start_are_missed(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes were started, 1 found"):
        Processes.start()
