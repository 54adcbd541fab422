"""A small model, served in this process, and images for it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from inference.conftest import Coarse
from PIL import Image

from perpixel.delivery.server.app import create_app
from perpixel.delivery.server.running import configuration
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap

Serving = Callable[..., AbstractContextManager[httpx.Client]]


class Held(Coarse):
    """A network that computes when it is let, and says when it has begun."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def forward(self, images: torch.Tensor) -> ScoreMap:
        self.begun.release()
        assert self.go.wait(30)
        return super().forward(images)


@pytest.fixture
def labels() -> LabelSpace:
    return LabelSpace.of(("sky", "sea", "sand", "boat"))


@pytest.fixture
def model(labels: LabelSpace) -> Model:
    return Model(Coarse(4).eval(), labels, Preprocessing(), torch.device("cpu"))


@pytest.fixture
def held(labels: LabelSpace) -> Iterator[Model]:
    """A model whose network is `Held`; whatever still waits in the end is let go."""
    network = Held(4).eval()
    yield Model(network, labels, Preprocessing(), torch.device("cpu"))
    network.go.set()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def mask_in(response: httpx.Response) -> np.ndarray:
    """The mask of an answer."""
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def running(app: FastAPI, settings: Settings) -> Iterator[tuple[uvicorn.Server, httpx.Client]]:
    """The application behind a port of this machine, in a thread."""
    server = uvicorn.Server(configuration(app, settings, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    # No proxy of the environment, and no certificates to load.
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers=headers,
        timeout=30,
        trust_env=False,
        verify=False,
    )
    try:
        with client:
            yield server, client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serving() -> Serving:
    """`with serving(model, queue=3) as client` asks a server of that model."""

    @contextmanager
    def start(model: Model, **limits: Any) -> Iterator[httpx.Client]:
        settings = Settings(**limits)
        app = create_app(model, {"name": "coarse"}, settings)
        with running(app, settings) as (_, client):
            client.app = app  # type: ignore[attr-defined]
            yield client

    return start
