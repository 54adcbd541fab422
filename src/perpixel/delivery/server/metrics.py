"""What a server counts, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perpixel.delivery.server.places import Places

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The numbers of one server, in a registry of their own.

    Args:
        places: what is asked how many requests wait.
    """

    def __init__(self, places: Places) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "perpixel_requests", "Answers given.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "perpixel_request_seconds",
            "From a request's headers to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "perpixel_stage_seconds",
            "What an image, or in the network a batch, takes in each stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "perpixel_batch_images",
            "Images that went through the network together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        waiting = Gauge(
            "perpixel_requests_waiting",
            "Requests taken and not yet answered.",
            registry=self.registry,
        )
        waiting.set_function(lambda: places.taken)
        self._places = places
        ProcessCollector(registry=self.registry)

    def watch(self, stage: str, took: float, images: int) -> None:
        """A stage of the pipeline was done."""
        self.stages.labels(stage).observe(took)
        if stage == "network":
            self.batches.observe(images)
            self._places.note(took, images)

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)


class Counted:
    """Counts every answer of the application behind it.

    Args:
        app: the application.
        metrics: where to count.
        paths: those that are counted by name; a stranger may ask for any other.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status: list[Any] = [500]
        start = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counting)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, str(status[0])).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
