"""A server beside other things in its process."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI

from perpixel.delivery.server.running import configuration
from perpixel.delivery.server.settings import Settings


class Handler(logging.Handler):
    """Knows whether it was closed; absl's closes what it writes to."""

    closed = False

    def close(self) -> None:
        """As logging calls it."""
        self.closed = True
        super().close()


def test_the_log_handlers_of_others_are_left_alone() -> None:
    handler = Handler()
    try:
        configuration(FastAPI(), Settings(), "127.0.0.1", 0)
        assert not handler.closed
    finally:
        handler.close()


def test_what_uvicorn_warns_of_is_written_and_nothing_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    configuration(FastAPI(), Settings(), "127.0.0.1", 0)
    logger = logging.getLogger("uvicorn.error")
    logger.info("Started")
    logger.warning("Invalid HTTP request received.")
    assert caplog.messages == ["Invalid HTTP request received."]
