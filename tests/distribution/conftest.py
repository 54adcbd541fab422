"""A hub on this machine, and a model to send there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from distribution.stand_in import TOKEN, StandIn
from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing

CONFIG = FCNConfig(name="fcn8s", backbone="test_resnet", classes=3, head_channels=8)
PROVENANCE = {
    "perpixel": "0.1.0",
    "config": {"data": "/home/somebody/photographs", "out": "/home/somebody/runs/a", "epochs": 3},
    "validation": {
        "mean_iou": 0.5,
        "classes": {"sky": {"iou": 0.5, "accuracy": 0.75}, "a|b": {"iou": None, "accuracy": None}},
    },
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of random weights; not to be changed."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny") / "model.safetensors"
    labels = LabelSpace.of(["sky", "a|b", "road"])
    network = build(CONFIG)
    write_checkpoint(
        path, Checkpoint(CONFIG, labels, Preprocessing(), network.state_dict(), PROVENANCE)
    )
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """The stand-in, an empty cache, and its owner logged in."""
    server = StandIn()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    # Its own protocol for large files; without it they go as Git LFS has them.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.stop()
    huggingface_hub.close_session()
