"""A small model and a raster of many tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.large.scene import CONFIG, LABELS, SIZE
from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.inference.predictor import Model, load
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing
from tests.data.rasters import UTM, write_raster


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    torch.manual_seed(5)
    config = network_config(dict(CONFIG))
    network = build(config)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.2)
    write_checkpoint(path, Checkpoint(config, LABELS, Preprocessing(), network.state_dict()))
    return path


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return load(model_file, "cpu")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (3, SIZE[0] // 20 + 1, SIZE[1] // 20 + 1))
    smooth = np.kron(coarse, np.ones((1, 20, 20), np.int64))[:, : SIZE[0], : SIZE[1]]
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(1, 255).astype(np.uint8)


@pytest.fixture
def raster(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write_raster(tmp_path / "scene.tif", pixels, **UTM)
