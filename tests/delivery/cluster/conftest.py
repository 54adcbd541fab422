"""A tiny model on disk, photographs, and stores in memory; Ray, where it is installed, kept quiet
and on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from delivery.cluster.calling import JOB, Make
from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.attempts import Attempts
from perpixel.delivery.cluster.job import Job, ModelFiles
from perpixel.delivery.cluster.place import Place
from perpixel.delivery.cluster.worker import Worker
from perpixel.inference.predictor import Model, load
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing

# Before Ray is imported: no key, no counters, and nothing but the loopback interface.
os.environ.update(
    RAY_AUTH_MODE="disabled",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_DATA_USAGE_DISABLED="1",
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
)
CLASSES = ("sky", "sea", "sand", "a boat, small")


def photograph(path: Path, seed: int, size: tuple[int, int] = (41, 57)) -> None:
    """Write a picture of smooth shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(rough).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with lively weights."""
    torch.manual_seed(0)
    config = network_config(
        {"name": "fcn8s", "classes": 4, "backbone": "test_resnet", "head_channels": 8}
    )
    network = build(config)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    labels = LabelSpace.of(CLASSES)
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), network.state_dict()))
    return path


@pytest.fixture
def model(model_file: Path) -> Model:
    """The same, in this process, on one thread."""
    torch.set_num_threads(1)
    return load(model_file, "cpu")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Photographs of several sizes and kinds, one of them damaged, two of one stem."""
    folder = tmp_path / "images"
    for seed in range(6):
        photograph(folder / ("sub" if seed % 2 else "") / f"{seed}.jpg", seed, (41 + seed, 57))
    photograph(folder / "0.png", 7)
    (folder / "cut.jpg").write_bytes((folder / "0.jpg").read_bytes()[:300])
    (folder / ".hidden.jpg").write_bytes((folder / "0.jpg").read_bytes())
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    filesystem = packages.fsspec().filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


class Here:
    """Stands in for Ray: an actor is an object, and what it returns is there at once."""

    def get(self, result: Any) -> Any:
        """What a call has returned."""
        return result

    def actor(self, one: Any) -> Any:
        """A handle whose methods are called by `.remote`."""
        names = [name for name in dir(one) if not name.startswith("_")]
        methods = {name: SimpleNamespace(remote=getattr(one, name)) for name in names}
        return SimpleNamespace(**methods)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    """A worker can be made and called in this process."""
    stand_in = Here()
    monkeypatch.setattr(packages, "ray", lambda: stand_in)
    return stand_in


@pytest.fixture
def attempts(here: Here) -> Any:
    """The handle of a counter."""
    return here.actor(Attempts())


@pytest.fixture
def make(model_file: Path, attempts: Any) -> Make:
    """`make(out)` is a worker."""
    files = ModelFiles.read(model_file)

    def made(out: str, job: Job = JOB) -> Worker:
        return Worker(job, Place(), files, out, attempts)

    return made
