"""A request's way: a place, its bytes, a look at its header, the queue, its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from fastapi import Request
from jaxtyping import Shaped, UInt8
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from perpixel.data.header import Header
from perpixel.delivery.server.accept import MediaType, chosen
from perpixel.delivery.server.answers import OFFERED, maker
from perpixel.delivery.server.body import (
    FORM,
    FORM_BYTES,
    declared_length,
    image_in_form,
    media_type,
    read_body,
    too_many_bytes,
)
from perpixel.delivery.server.checked import check_image, check_pixels
from perpixel.delivery.server.pipeline import Pipeline, Watch
from perpixel.delivery.server.places import Place, Places
from perpixel.delivery.server.problems import ProblemError, not_computed
from perpixel.delivery.server.settings import Settings
from perpixel.delivery.server.waiting import Job, too_late
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import ClassMask, Segmentation

_LOG = logging.getLogger(__name__)


class Segmenting:
    """Takes images from requests, and from Python, through one queue.

    Args:
        model: what predicts.
        settings: the limits.
        places: what counts the requests.
        watch: told of each stage of the work.
    """

    def __init__(self, model: Model, settings: Settings, places: Places, watch: Watch) -> None:
        self.model = model
        self.settings = settings
        self.places = places
        self.pipeline = Pipeline(model, settings.batch, watch)
        self._checkers: ThreadPoolExecutor

    def start(self) -> None:
        """Begin to work."""
        self._checkers = ThreadPoolExecutor(1, "perpixel-check")
        self.pipeline.start()

    def close(self) -> None:
        """Finish what was taken."""
        self.pipeline.close()
        self._checkers.shutdown()

    @property
    def alive(self) -> bool:
        """Whether images are being computed."""
        return self.pipeline.alive

    def image(self, image: UInt8[np.ndarray, "H W bands"]) -> Segmentation:
        """Segment an image in the queue, and wait for it.

        Raises:
            ProblemError: the queue is full, the image too large, or it was not ready in time; what
                it says may be shown.
        """
        height, width, bands = image.shape
        check_pixels((height, width), self.settings.max_pixels)
        header = Header("NPY", height, width, bands, image.dtype, 8, 1, alpha=False, wide=True)
        deadline = time.monotonic() + self.settings.seconds
        with self.places.take():
            job = self._job(
                header,
                decode=lambda: image.transpose(2, 0, 1),
                finish=lambda found: found,
                confidence=True,
                deadline=deadline,
            )
            try:
                found = self.pipeline.submit(job).result(self.settings.seconds)
            except TimeoutError:
                job.future.cancel()
                raise too_late() from None
        assert isinstance(found, Segmentation)
        return found

    async def answer(self, request: Request) -> Response:
        """The answer to a request with an image.

        Raises:
            ProblemError: there is none, in the words of its status.
        """
        try:
            return await self._answer(request)
        except ProblemError:
            raise
        except Exception:
            # Left to itself it would end the connection, and the client's next request on it.
            _LOG.exception("a request could not be answered")
            raise not_computed() from None

    async def _answer(self, request: Request) -> Response:
        deadline = time.monotonic() + self.settings.seconds
        form = chosen(request.headers.get("accept"), OFFERED)
        with self.places.take() as place:
            try:
                async with asyncio.timeout(self.settings.seconds):
                    body = await self._body(request, place)
            except TimeoutError:
                raise ProblemError(408, "too_slow", "The body did not arrive in time.") from None
            except ClientDisconnect:
                return _nobody()
            loop = asyncio.get_running_loop()
            kind = request.headers.get("content-type")
            job = await loop.run_in_executor(
                self._checkers, self._checked, body, kind, form, deadline
            )
            del body
            waiting = asyncio.wrap_future(self.pipeline.submit(job))
            gone = asyncio.ensure_future(request.receive())
            left = max(deadline - time.monotonic(), 0.0)
            try:
                either: set[asyncio.Future[Any]] = {waiting, gone}
                done, _ = await asyncio.wait(
                    either, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if waiting in done:
                    return Response(waiting.result(), media_type=str(form))
                if gone in done:
                    return _nobody()
                raise too_late()
            finally:
                gone.cancel()
                if not waiting.cancel() and not waiting.cancelled():
                    # Nobody may be left to hear of it.
                    waiting.exception()

    async def _body(self, request: Request, place: Place) -> bytes:
        kind, _ = media_type(request.headers.get("content-type"))
        most = self.settings.max_bytes + (FORM_BYTES if kind == FORM else 0)
        length = declared_length(request.headers.get("content-length"))
        if length is not None:
            if length > most:
                raise too_many_bytes(most)
            # What is announced is reserved: better refused now than after half of it has come.
            place.hold(length)
        return await read_body(request.stream(), place, most)

    def _checked(
        self, body: bytes, content_type: str | None, form: MediaType, deadline: float
    ) -> Job:
        kind, parameters = media_type(content_type)
        data = image_in_form(body, parameters) if kind == FORM else body
        if len(data) > self.settings.max_bytes:
            raise too_many_bytes(self.settings.max_bytes)
        checked = check_image(data, self.settings, self.model.preprocessing)
        return self._job(
            checked.header,
            decode=checked.decode,
            finish=maker(form),
            confidence=False,
            deadline=deadline,
        )

    def _job(
        self,
        header: Header,
        *,
        decode: Callable[[], Shaped[np.ndarray, "_ _ _"]],
        finish: Callable[[ClassMask], object],
        confidence: bool,
        deadline: float,
    ) -> Job:
        bucket = (header.height, header.width, header.bands, header.dtype.str)
        return Job(bucket, decode, finish, confidence, deadline)


def _nobody() -> Response:
    """For a client that has gone: no one reads it."""
    return Response(status_code=408)
