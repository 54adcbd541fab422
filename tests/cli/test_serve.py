"""`perpixel serve`, from its start to a signal that ends it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import perpixel
from cli.conftest import Command
from perpixel.delivery.client import Client, ServerError

TOKEN = "0123456789abcdef"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Visitor(threading.Thread):
    """Waits for a server, asks it, and sends this process the signal that ends it."""

    def __init__(self, port: int, image: Path, number: int) -> None:
        super().__init__(daemon=True)
        self.client = Client(f"http://127.0.0.1:{port}", TOKEN)
        self.port = port
        self.image = image
        self.number = number
        self.mask: np.ndarray | None = None
        self.network: dict[str, object] = {}
        self.refused = 0

    def run(self) -> None:
        end = time.monotonic() + 120
        while not self.client.ready() and time.monotonic() < end:
            time.sleep(0.05)
        try:
            self.mask = self.client.mask(self.image)
            self.network = self.client.model().network
            with Client(f"http://127.0.0.1:{self.port}") as stranger:
                stranger.mask(self.image)
        except ServerError as error:
            self.refused = error.status
        finally:
            self.client.close()
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_model_is_served_until_a_signal(
    command: Command, model: Path, drawn: Path, tmp_path: Path, number: int
) -> None:
    image = next((drawn / "val" / "images").iterdir())
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="ascii")
    visitor = Visitor(free_port(), image, number)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    visitor.start()
    options = ("--no-page", "--port", visitor.port, "--token-file", token)
    served = command("serve", model, *options)
    visitor.join(30)
    assert served.exit_code == 0, served.output
    assert np.array_equal(visitor.mask, perpixel.load(model).predict(image).mask)
    assert visitor.network["name"] == "fcn4s"
    assert visitor.refused == 401
    lines = served.stdout.splitlines()
    assert lines[0] == "computed by torch fp32 (asked for)"
    assert lines[1] == f"serving at http://127.0.0.1:{visitor.port}, with the token; Ctrl-C stops"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seconds", "0"), "seconds"),
        (("--token-file", "none"), "none"),
        (("--host", "192.0.2.1"), "cannot listen there"),
    ],
)
def test_wrong_settings_are_said_in_one_line(
    command: Command, model: Path, options: tuple[str, str], said: str
) -> None:
    refused = command("serve", model, "--no-page", *options)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_said(command: Command, model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command("serve", model, "--no-page", "--port", port)
    assert refused.exit_code == 2
    assert f"127.0.0.1:{port}: cannot listen there" in refused.stderr
