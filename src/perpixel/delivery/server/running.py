"""A server from its model file to its end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import uvicorn
from fastapi import FastAPI

from perpixel.delivery.server.about import network_of
from perpixel.delivery.server.app import create_app
from perpixel.delivery.server.settings import Settings
from perpixel.distribution.model_file import model_file
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model, load
from perpixel.machine import give_memory_back

# Pixels of the image that is predicted before the first request, either way.
_WARM = 64
_BACKLOG = 2048


def serve(
    path: str | Path,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    runtime: str = "auto",
    precision: str = "auto",
    page: bool = True,
    ready: Callable[[Model, str], None] = lambda model, address: None,
) -> None:
    """Serve a model until the process is told to stop; then finish what was taken.

    Args:
        path: of the model, as for `load`.
        settings: limits and token.
        host, port: where to listen; port 0 takes any that is free.
        runtime, precision: as for `load`.
        page: whether there is a page for people at `/`.
        ready: called with the model and the address when requests are taken.

    Raises:
        ModelError, ConfigError: as `load` does.
        ConfigError: the address cannot be listened at.
    """
    file = model_file(path)
    model = load(file, runtime=runtime, precision=precision)
    warm_up(model)
    app = create_app(model, network_of(file), settings)
    if page:
        from perpixel.delivery.server.with_page import add_page

        add_page(app, model, settings)
    server = uvicorn.Server(configuration(app, settings, host, port))
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    # Images of all sizes come and go: what one needed is not kept for the next.
    give_memory_back()
    with listening, _stopping_is_no_error(server):
        ready(model, f"http://{shown}:{listening.getsockname()[1]}")
        server.run([listening])


def configuration(app: FastAPI, settings: Settings, host: str, port: int) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        # Its own would close the log handlers of all others in this process, and their streams.
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # What was taken is answered within its own time; a client that then does not read its
        # answer must not hold the process for ever.
        timeout_graceful_shutdown=int(settings.seconds) + 5,
    )


def warm_up(model: Model) -> None:
    """Find the runtime and compile the kernels before anybody waits for it."""
    shape = (
        (_WARM, _WARM)
        if model.preprocessing.bands == 1
        else (_WARM, _WARM, model.preprocessing.bands)
    )
    image = np.zeros(shape, np.uint8)
    found = model.predict(image)
    model.class_mask(found.image, model.views([found.image], names=["image"]))


def _listening(host: str, port: int) -> socket.socket:
    # uvicorn's own way ends the process where it fails.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # From now on clients can connect, and wait for the first answer.
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{host}:{port}",
            found=f"cannot listen there ({error.strerror or error})",
            mend="Give another --host or --port",
        ) from None
    return listening


@contextmanager
def _stopping_is_no_error(server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM and Ctrl-C are how a server ends: uvicorn finishes, and sends itself the signal
    again, which then does nothing more."""

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
