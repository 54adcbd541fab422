"""A client of `perpixel serve`, with the standard library and NumPy alone."""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from perpixel.errors import ConfigError, PerpixelError
from perpixel.labels import LabelSpace

ImageFile = str | Path | bytes
_BUSY = 429
_OK = 200


class ServerError(PerpixelError):
    """A server's answer that is no mask.

    Args:
        status: of HTTP; 0 where there was no answer.
        code: the server's own word for what is wrong.
        message: what the server says.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(
            "server", found=f"{status} {code}: {message}", mend="Mend it, or ask the server's owner"
        )
        self.status = status
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.status, self.code, self.message)


@dataclass(frozen=True)
class ServedModel:
    """What a server says of its model.

    Args:
        labels: the classes.
        preprocessing: from an image to the network's input, as the server names it.
        network: its name and options.
        runtime, precision: what computes it.
        max_bytes, max_pixels: of an image, at most.
        formats: of images.
    """

    labels: LabelSpace
    preprocessing: dict[str, Any]
    network: dict[str, Any]
    runtime: str
    precision: str
    max_bytes: int
    max_pixels: int
    formats: Sequence[str]


class Client:
    """Asks a server for masks, over one connection. One thread at a time may use it.

    Args:
        address: of the server, such as "http://127.0.0.1:8000".
        token: what the server asks for; None: nothing.
        seconds: for each answer, at most.
        patience: seconds for which a busy server is asked again, as it says when.

    Raises:
        ConfigError: the address is not one of http or https.
    """

    def __init__(
        self, address: str, token: str | None = None, seconds: float = 60.0, patience: float = 60.0
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "address",
                found=f"{address!r}",
                expected="an address of http or https",
                mend="Give it as http://127.0.0.1:8000",
            )
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=seconds)
        self._prefix = parts.path.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._patience = patience

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def mask(self, image: ImageFile) -> Integer[np.ndarray, "H W"]:
        """The class of every pixel, or the ignore index; uint8 or uint16, at the image's own size.

        Args:
            image: a file, or the bytes of one.

        Raises:
            OSError: the file cannot be read, or the server not reached.
            ServerError: the server refuses the image, or is busy for longer than the patience.
        """
        content = self._segment(image, "application/x-npy")
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))

    def png(self, image: ImageFile) -> bytes:
        """The mask as the PNG file that `perpixel predict` would write (a raster that says what is
        missing apart); errors as `mask`."""
        return self._segment(image, "image/png")

    def coco(self, image: ImageFile) -> dict[str, Any]:
        """The mask as a dataset of COCO's with one image, in run lengths; errors as `mask`."""
        found: dict[str, Any] = json.loads(self._segment(image, "application/json"))
        return found

    def overlay(self, image: ImageFile) -> UInt8[np.ndarray, "H2 W2 3"]:
        """The classes over the image, with a legend beside it; errors as `mask`."""
        content = self._segment(image, "image/png;view=overlay")
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def model(self) -> ServedModel:
        """What the server says of its model.

        Raises:
            OSError: the server cannot be reached.
            ServerError: it does not answer.
        """
        said = json.loads(self._ask("GET", "/v1/model", None, "application/json"))
        labels = LabelSpace(
            names=tuple(one["name"] for one in said["classes"]),
            colours=tuple(tuple(one["colour"]) for one in said["classes"]),
            ignore_index=said["ignore_index"],
        )
        limits = said["limits"]
        return ServedModel(
            labels=labels,
            preprocessing=said["preprocessing"],
            network=said["network"],
            runtime=said["runtime"],
            precision=said["precision"],
            max_bytes=limits["max_bytes"],
            max_pixels=limits["max_pixels"],
            formats=tuple(limits["formats"]),
        )

    def ready(self) -> bool:
        """Whether the server can be reached and computes images."""
        try:
            self._ask("GET", "/readyz", None, "application/json")
        except (OSError, http.client.HTTPException, ServerError):
            return False
        return True

    def _segment(self, image: ImageFile, accept: str) -> bytes:
        content = image if isinstance(image, bytes) else Path(image).read_bytes()
        return self._ask("POST", "/v1/segment", content, accept)

    def _ask(self, method: str, path: str, body: bytes | None, accept: str) -> bytes:
        end = time.monotonic() + self._patience
        while True:
            response, content = self._once(method, path, body, accept)
            if response.status == _OK:
                return content
            wait = _seconds(response.headers.get("Retry-After", "1"))
            if response.status != _BUSY or time.monotonic() + wait > end:
                raise _told(response.status, content)
            time.sleep(wait)

    def _once(
        self, method: str, path: str, body: bytes | None, accept: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {**self._headers, "Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/octet-stream"
        reused = self._connection.sock is not None
        try:
            self._connection.request(method, self._prefix + path, body, headers)
            response = self._connection.getresponse()
            return response, response.read()
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not reused:
                raise
            # The server had closed a connection that was idle: the request never began.
            return self._once(method, path, body, accept)
        except BaseException:
            # What is left of the answer would be taken for the next one.
            self.close()
            raise


def _seconds(retry_after: str) -> float:
    """The wait that an answer asks for, which is a number of seconds or a date; 1 where neither."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        date = parsedate_to_datetime(retry_after)
        # One without a zone is UTC, as all of HTTP's are.
        wait = date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)
        return max(wait.total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return 1.0


def _told(status: int, content: bytes) -> ServerError:
    try:
        said = json.loads(content)
        return ServerError(status, str(said["code"]), str(said["message"]))
    except (ValueError, KeyError, TypeError):
        return ServerError(status, "no_message", "The answer is not one of perpixel's.")
