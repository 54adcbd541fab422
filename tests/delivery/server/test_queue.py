"""What becomes of requests that have to wait."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from delivery.server.conftest import (
    Held,
    Serving,
    mask_in,
    picture,
    png,
    running,
    until,
)
from perpixel.delivery.server.app import create_app
from perpixel.delivery.server.problems import ProblemError
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model


def network(model: Model) -> Held:
    assert isinstance(model.network, Held)
    return model.network


def waiting(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    return int(
        float(next(one for one in lines if one.startswith("perpixel_requests_waiting ")).split()[1])
    )


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(
    serving: Serving, held: Model
) -> None:
    with serving(held, queue=3) as client, ThreadPoolExecutor(3) as pool:
        file = png(picture(16, 16))
        taken = [pool.submit(client.post, "/v1/segment", content=file) for _ in range(3)]
        until(lambda: waiting(client) == 3)
        start = time.monotonic()
        refused = client.post("/v1/segment", content=file)
        # At once: the network is still held.
        assert not any(one.done() for one in taken)
        assert time.monotonic() - start < 10
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["code"] == "queue_full"
        network(held).go.set()
        assert {one.result().status_code for one in taken} == {200}
        assert client.post("/v1/segment", content=file).status_code == 200


def test_bodies_that_would_fill_the_memory_are_refused_before_they_come(
    serving: Serving, held: Model
) -> None:
    file = png(picture(30, 30))
    with serving(held, max_bytes=len(file), queue=100) as client, ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(client.post, "/v1/segment", content=file) for _ in range(8)]
        until(lambda: waiting(client) == 8)
        refused = client.post("/v1/segment", content=file)
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        network(held).go.set()
        assert {one.result().status_code for one in taken} == {200}


def test_images_of_one_size_that_wait_together_are_computed_together(
    serving: Serving, held: Model
) -> None:
    small, wide = picture(16, 16), picture(16, 24)
    with serving(held, batch=4) as client, ThreadPoolExecutor(16) as pool:
        first = pool.submit(client.post, "/v1/segment", content=png(small))
        until(lambda: network(held).begun.acquire(blocking=False))
        # A second batch is taken to be decoded meanwhile; what comes now waits behind it.
        second = pool.submit(client.post, "/v1/segment", content=png(small))
        until(lambda: waiting(client) == 2)
        segmenting = client.app.state.segmenting  # type: ignore[attr-defined]
        until(lambda: not len(segmenting.pipeline.waiting))
        pictures = [small, wide, small, small, wide, small, small]
        rest = []
        for number, pixels in enumerate(pictures, 1):
            rest.append(pool.submit(client.post, "/v1/segment", content=png(pixels)))
            until(lambda number=number: len(segmenting.pipeline.waiting) == number)
        network(held).go.set()
        masks = [mask_in(answer.result()) for answer in [first, second, *rest]]
    shapes = [tuple(images.shape) for images in network(held).seen]
    for mask, pixels in zip(masks, [small, small, *pictures], strict=True):
        assert np.array_equal(mask, held.predict(pixels).mask)
    # Each kind of batch is computed alone too, the first time.
    alone_small, alone_wide = (1, 3, 16, 16), (1, 3, 16, 24)
    together = [shape for shape in shapes if shape[0] > 1]
    assert together == [(4, 3, 16, 16), (2, 3, 16, 24)]
    assert shapes[:3] == [alone_small, alone_small, (4, 3, 16, 16)]
    assert shapes.index((2, 3, 16, 24)) < shapes.index(alone_wide)


def test_an_answer_that_is_not_ready_in_time_is_given_up_and_its_image_not_computed(
    serving: Serving, held: Model
) -> None:
    with serving(held, seconds=0.5) as client, ThreadPoolExecutor(3) as pool:
        files = [png(picture(16, width)) for width in (8, 16, 24, 32)]
        late = list(pool.map(lambda file: client.post("/v1/segment", content=file), files[:3]))
        assert {one.status_code for one in late} == {503}
        assert {one.json()["code"] for one in late} == {"too_late"}
        assert all(int(one.headers["retry-after"]) >= 1 for one in late)
        assert waiting(client) == 0
        segmenting = client.app.state.segmenting  # type: ignore[attr-defined]
        until(lambda: not len(segmenting.pipeline.waiting))
        network(held).go.set()
        assert client.post("/v1/segment", content=files[3]).status_code == 200
    widths = {images.shape[3] for images in network(held).seen}
    # One was in the network, one was taken to be next; the third was never begun.
    assert len(widths & {8, 16, 24}) <= 2
    assert 32 in widths


def connected(client: httpx.Client) -> socket.socket:
    address = urlsplit(str(client.base_url))
    return socket.create_connection((address.hostname, address.port), timeout=30)


def test_a_body_that_does_not_come_in_time_is_given_up(serving: Serving, model: Model) -> None:
    with serving(model, seconds=0.3) as client, connected(client) as connection:
        connection.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert waiting(client) == 0


def test_what_a_client_has_left_is_not_computed(serving: Serving, held: Model) -> None:
    with serving(held) as client, ThreadPoolExecutor(2) as pool:
        stay = [
            pool.submit(client.post, "/v1/segment", content=png(picture(16, 16 * one)))
            for one in (1, 2)
        ]
        until(lambda: waiting(client) == 2)
        file = png(picture(16, 48))
        with connected(client) as connection:
            head = b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(file)
            connection.sendall(head + file)
            until(lambda: waiting(client) == 3)
            segmenting = client.app.state.segmenting  # type: ignore[attr-defined]
            until(lambda: len(segmenting.pipeline.waiting) == 1)
        until(lambda: waiting(client) == 2)
        network(held).go.set()
        assert {one.result().status_code for one in stay} == {200}
    assert all(images.shape[3] != 48 for images in network(held).seen)


def test_a_server_that_stops_answers_what_it_has_taken_and_takes_no_more(held: Model) -> None:
    settings = Settings()
    app = create_app(held, {}, settings)
    pictures = [picture(16, 16 + seed, seed) for seed in range(6)]
    with running(app, settings) as (server, client), ThreadPoolExecutor(6) as pool:
        taken = [pool.submit(client.post, "/v1/segment", content=png(one)) for one in pictures]
        until(lambda: waiting(client) == 6)
        server.should_exit = True
        until(lambda: not server.servers[0].is_serving())
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{client.base_url}/readyz", trust_env=False)
        network(held).go.set()
        masks = [mask_in(answer.result()) for answer in taken]
    for mask, pixels in zip(masks, pictures, strict=True):
        assert np.array_equal(mask, held.predict(pixels).mask)
    assert not app.state.segmenting.alive
    ours = {"perpixel_gather", "perpixel_compute", "perpixel-decode", "perpixel-answer"}
    left = {one.name.rpartition("_0")[0] or one.name for one in threading.enumerate()}
    assert not left & ours


def test_an_array_from_python_goes_through_the_same_queue(serving: Serving, held: Model) -> None:
    pixels = picture(20, 30)
    with serving(held, queue=1, max_pixels=600) as client, ThreadPoolExecutor(1) as pool:
        segment = client.app.state.segmenting.image  # type: ignore[attr-defined]
        found = pool.submit(segment, pixels)
        until(lambda: network(held).begun.acquire(blocking=False))
        with pytest.raises(ProblemError, match="Busy"):
            segment(pixels)
        network(held).go.set()
        given, expected = found.result(), held.predict(pixels)
        assert np.array_equal(given.mask, expected.mask)
        assert np.array_equal(given.confidence, expected.confidence)
        assert np.array_equal(given.image, expected.image)
        with pytest.raises(ProblemError, match="at most 600"):
            segment(picture(20, 31))


def test_an_array_that_is_not_ready_in_time_is_given_up(serving: Serving, held: Model) -> None:
    with serving(held, seconds=0.2) as client:
        segmenting = client.app.state.segmenting  # type: ignore[attr-defined]
        # One goes into the network and one is taken to be next; the third stays in the queue.
        for width in (8, 16, 24):
            with pytest.raises(ProblemError, match="in time"):
                segmenting.image(picture(20, width))
        assert waiting(client) == 0
        assert len(segmenting.pipeline.waiting) == 0
        network(held).go.set()
