"""A tiny model of the drawn scenes' classes, and a server with the page alone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.delivery.scenes import CLASSES, draw
from perpixel.inference.predictor import Model, load
from perpixel.inference.segmentation import Segmentation
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing

PATIENCE = 60.0
# The drawn camera's pictures have 640 × 480 pixels.
LARGEST_PIXELS, LARGEST_BYTES = 400_000, 1_000_000
EXAMPLES = [draw(1, index, 75, 100)[0] for index in range(3)]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An FCN-8s whose weights are random but say something."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    options = {"backbone": "test_resnet", "head_channels": 8, "classes": CLASSES.classes}
    config = network_config({"name": "fcn8s", **options})
    network = build(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.15 * torch.randn(parameter.shape)
    file = tmp_path_factory.mktemp("page") / "model.safetensors"
    preprocessing = Preprocessing(conversion="grey-rgb")
    write_checkpoint(file, Checkpoint(config, CLASSES, preprocessing, network.state_dict()))
    return file


@pytest.fixture(scope="session")
def model(model_file: Path) -> Model:
    """The model of that file."""
    return load(model_file, "cpu", "torch", "fp32")


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """A drawn scene of odd size, uint8 (H, W, 3)."""
    return draw(0, 0, 91, 133)[0]


@pytest.fixture(scope="session")
def segmentation(model: Model, scene: np.ndarray) -> Segmentation:
    """What the model says about the scene: several classes, the largest not the first."""
    found = model.predict(scene)
    assert len(np.unique(found.mask)) >= 3
    return found


@contextmanager
def serving(app: object) -> Iterator[str]:
    """A FastAPI application on a free loopback port, in a thread; its address."""
    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waited_until = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive(), "the server ended at once"
        assert time.monotonic() < waited_until, "the server did not start"
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Gradio has its temporary files in these tests."""
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def address(model: Model, temporary: Path) -> Iterator[str]:
    """A server with nothing but the page."""
    pytest.importorskip("gradio")
    from fastapi import FastAPI

    from perpixel.delivery.page import build_page, mount_page

    page = build_page(model.predict, model, EXAMPLES, largest_pixels=LARGEST_PIXELS)
    with serving(mount_page(FastAPI(), page, largest_bytes=LARGEST_BYTES)) as found:
        yield found
