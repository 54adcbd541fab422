"""The client, against a server in this process."""

from __future__ import annotations

import http.server
import io
import itertools
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from delivery.server.conftest import (
    Held,
    Serving,
    held,
    labels,
    model,
    picture,
    png,
    serving,
    until,
)
from perpixel.delivery import client as client_module
from perpixel.delivery.client import Client, ServerError
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model

__all__ = ["held", "labels", "model", "serving"]
TOKEN = "0123456789abcdef"


def test_every_form_of_a_mask(serving: Serving, model: Model, tmp_path: Path) -> None:
    pixels = picture(30, 50)
    expected = model.predict(pixels)
    file = tmp_path / "a.png"
    file.write_bytes(png(pixels))
    with serving(model) as server, Client(str(server.base_url)) as client:
        for given in (file, str(file), file.read_bytes()):
            mask = client.mask(given)
            assert mask.dtype == np.uint8
            assert np.array_equal(mask, expected.mask)
        assert client.png(file) == expected.png()
        assert np.array_equal(client.overlay(file), np.asarray(expected.overlay()))
        assert [one["name"] for one in client.coco(file)["categories"]] == list(model.labels.names)
        with pytest.raises(FileNotFoundError):
            client.mask(tmp_path / "none.png")
        # The connection is whole after an error.
        assert client.ready()


def test_the_model_is_described(serving: Serving, model: Model) -> None:
    with serving(model, max_bytes=1 << 20) as server, Client(f"{server.base_url}/") as client:
        said = client.model()
    assert said.labels == model.labels
    assert said.network == {"name": "coarse"}
    assert said.preprocessing["bands"] == 3
    assert (said.runtime, said.precision) == ("torch", "fp32")
    assert (said.max_bytes, said.max_pixels) == (1 << 20, 50_000_000)
    assert "PNG" in said.formats


def test_a_refusal_says_the_servers_own_words(serving: Serving, model: Model) -> None:
    with serving(model, token=TOKEN) as server:
        with Client(str(server.base_url)) as stranger:
            assert stranger.ready()
            with pytest.raises(ServerError, match="token") as raised:
                stranger.mask(png(picture(9, 9)))
        assert (raised.value.status, raised.value.code) == (401, "no_token")
        with Client(str(server.base_url), TOKEN) as client:
            with pytest.raises(ServerError, match="no content") as raised:
                client.mask(b"")
            assert client.mask(png(picture(9, 9))).shape == (9, 9)
    assert raised.value.status == 415
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.code) == (str(raised.value), raised.value.code)


def test_a_busy_server_is_asked_again_when_it_says(
    serving: Serving, held: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(held.network, Held)
    network, slept = held.network, list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        network.go.set()
        until(first.done)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(client_module, "time", clock)
    file = png(picture(9, 9))
    with (
        serving(held, queue=1) as server,
        Client(str(server.base_url)) as patient,
        Client(str(server.base_url), patience=0.5) as hasty,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(server.post, "/v1/segment", content=file)
        assert network.begun.acquire(timeout=30)
        with pytest.raises(ServerError) as raised:
            hasty.mask(file)
        assert raised.value.status == 429
        assert slept == []
        assert patient.mask(file).shape == (9, 9)
    assert slept == [1.0]


class Refusal(http.server.BaseHTTPRequestHandler):
    """A server that is not ready, and says when to ask again in `after`."""

    after = ""
    status = 503

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Retry-After", self.after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        ("3", 3, 3),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2122 07:28:00 GMT", 1e9, 1e10),
        ("Wed, 21 Oct 2122 07:28:00 -0000", 1e9, 1e10),
        ("Wed, 99 Oct 2015", 1, 1),
        ("soon", 1, 1),
        ("nan", 1, 1),
        ("-5", 1, 1),
        ("", 1, 1),
    ],
)
def test_a_server_may_say_in_any_way_when_to_ask_again(
    monkeypatch: pytest.MonkeyPatch, status: int, after: str, least: float, most: float
) -> None:
    monkeypatch.setattr(Refusal, "after", after)
    monkeypatch.setattr(Refusal, "status", status)
    slept: list[float] = []
    # There is patience for any wait, once.
    looks = itertools.cycle([0.0, -1e11, 1e11])
    clock = SimpleNamespace(monotonic=lambda: next(looks), sleep=slept.append)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}") as client:
                monkeypatch.setattr(client_module, "time", clock)
                if status == 503:
                    assert not client.ready()
                with pytest.raises(ServerError) as raised:
                    client.model()
        finally:
            server.shutdown()
            thread.join()
    assert raised.value.status == status
    assert all(least <= wait <= most for wait in slept)
    assert len(slept) == (status == 429)


@contextmanager
def strange(close: bool) -> Iterator[str]:
    """A server of something else: it closes each connection at once, or after an answer."""
    asked: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.client_address[1])
            if not close or (len(asked) == 2 and asked[0] == asked[1]):
                self.close_connection = True
                return
            file = io.BytesIO()
            Image.new("L", (1, 1)).save(file, "PNG")
            self.send_response(418)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_idle_connection_that_the_server_has_closed_is_opened_again() -> None:
    with strange(close=True) as address, Client(address) as client:
        for _ in range(2):
            with pytest.raises(ServerError, match="not one of perpixel's") as raised:
                client.model()
            assert raised.value.status == 418


def test_a_server_that_answers_nothing_is_not_ready() -> None:
    with strange(close=False) as address, Client(address) as client:
        assert not client.ready()
        with pytest.raises(ConnectionError):
            client.model()
    with Client("http://127.0.0.1:9") as client:
        assert not client.ready()


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://a", "http://", ""])
def test_an_address_is_one_of_http(address: str) -> None:
    with pytest.raises(ConfigError, match="http"):
        Client(address)


def test_the_client_needs_neither_torch_nor_what_the_server_needs() -> None:
    code = (
        "import sys, perpixel.delivery.client; "
        "sys.exit(bool({'torch', 'fastapi', 'httpx', 'uvicorn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
