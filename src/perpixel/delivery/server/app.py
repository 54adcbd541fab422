"""The application: its addresses, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from perpixel.delivery.server.about import ModelBody, about
from perpixel.delivery.server.access import OPEN, TokenGate
from perpixel.delivery.server.metrics import CONTENT_TYPE, Counted, Metrics
from perpixel.delivery.server.openapi import SEGMENT_ANSWER, SEGMENT_BODY, SUMMARY, problems
from perpixel.delivery.server.places import Places
from perpixel.delivery.server.problems import (
    ProblemError,
    not_computed,
    of_status,
    problem_response,
)
from perpixel.delivery.server.segmenting import Segmenting
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model

PATHS = frozenset({"/v1/segment", "/v1/model", "/healthz", "/readyz", "/metrics", "/openapi.json"})


def create_app(model: Model, network: dict[str, Any], settings: Settings) -> FastAPI:
    """The application of one model. Its threads begin and end with its lifespan.

    `app.state.segmenting.image` segments arrays in its queue, for pages that are mounted on it.

    Args:
        model: what predicts.
        network: how the network is described, as `network_of` has it.
        settings: limits and token.
    """
    places = Places(settings.queue, settings.held_bytes)
    metrics = Metrics(places)
    segmenting = Segmenting(model, settings, places, metrics.watch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        segmenting.start()
        try:
            yield
        finally:
            segmenting.close()

    app = FastAPI(
        title="perpixel",
        summary=SUMMARY,
        version="1",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.segmenting = segmenting
    said = about(model, network, settings)
    refused = (401,) if settings.token else ()

    @app.post(
        "/v1/segment",
        response_class=Response,
        responses={
            200: SEGMENT_ANSWER,
            **problems(400, *refused, 406, 408, 413, 415, 422, 429, 500, 503),
        },
        openapi_extra={"requestBody": SEGMENT_BODY},
    )
    async def segment(request: Request) -> Response:
        """A class for every pixel of an image."""
        return await segmenting.answer(request)

    @app.get("/v1/model", responses=problems(*refused))
    async def served() -> ModelBody:
        """The model: its classes and their colours, its preprocessing, its network."""
        return said

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process works."""
        return {"status": "ok"}

    @app.get("/readyz", responses=problems(503))
    async def readyz() -> Any:
        """Whether images are being computed."""
        if not segmenting.alive:
            return problem_response(503, "not_ready", "No images are computed now.")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(*refused),
        },
    )
    async def numbers() -> Response:
        """What the server counted, for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.exception_handler(ProblemError)
    async def told(request: Request, problem: ProblemError) -> Response:
        return problem.response()

    @app.exception_handler(HTTPException)
    async def refused_by_routes(request: Request, error: HTTPException) -> Response:
        return of_status(error.status_code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        return not_computed().response()

    # The last one added stands first.
    if settings.token is not None:
        app.add_middleware(TokenGate, token=settings.token)
        _say_token(app)
    app.add_middleware(Counted, metrics=metrics, paths=PATHS)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return app


def _say_token(app: FastAPI) -> None:
    """Put the token into the OpenAPI description."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        described = plain()
        schemes = described.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["token"] = {"type": "http", "scheme": "bearer"}
        for path, methods in described["paths"].items():
            for operation in methods.values():
                operation["security"] = [] if path in OPEN else [{"token": []}]
        return described

    app.openapi = openapi  # type: ignore[method-assign]
