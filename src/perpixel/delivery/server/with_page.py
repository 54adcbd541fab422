"""The page for people, at the server's `/`."""

from __future__ import annotations

from fastapi import FastAPI

from perpixel.delivery.page import build_page, drawn_examples, mount_page
from perpixel.delivery.server.problems import ProblemError
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model


def add_page(app: FastAPI, model: Model, settings: Settings) -> None:
    """Put the page behind the application's own addresses, and so behind its token.

    Args:
        app: of `create_app`; the page's images go through its queue.
        model: what predicts.
        settings: the limits, which are the page's too.

    Raises:
        ConfigError: gradio is not installed.
    """
    page = build_page(
        app.state.segmenting.image,
        model,
        drawn_examples(),
        largest_pixels=settings.max_pixels,
        readable=(ProblemError,),
    )
    mount_page(app, page, "/", largest_bytes=settings.max_bytes)
