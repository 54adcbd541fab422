"""A small model file, a machine on which nothing is fixed beforehand, and what tests that trace
networks share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that says several classes; not to be changed."""
    torch.manual_seed(0)
    config = network_config(
        {"name": "fcn8s", "backbone": "test_resnet", "classes": 3, "head_channels": 8}
    )
    network = build(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(1.5)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    labels = LabelSpace.of(["a", "b", "c"])
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), network.state_dict()))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no runtime or precision in the environment."""
    monkeypatch.delenv("PERPIXEL_RUNTIME")
    monkeypatch.delenv("PERPIXEL_PRECISION")
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """Without run-time shape checks: while a graph is traced, a size is no int."""
    # One thread: these networks are tiny, and threads that wait for each other are not.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    torch.set_num_threads(threads)
    jaxtyping.config.update("jaxtyping_disable", False)
