"""The places that a server has for requests: how many it has taken, and what they hold."""

from __future__ import annotations

import math
import threading
from types import TracebackType

from perpixel.delivery.server.problems import ProblemError

# Of the images computed lately, the newest counts for so much in the mean time of one.
_NEWEST = 0.1
_FIRST_GUESS = 0.1  # seconds
_LONGEST_WAIT = 60


class Places:
    """Counts requests from their headers to their answers. What is full refuses at once.

    Args:
        most: places.
        most_bytes: that the bodies in all places hold together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.taken = 0
        self.held = 0
        self._seconds = _FIRST_GUESS
        self._lock = threading.Lock()

    def take(self) -> Place:
        """A place for one request, to be given back by leaving its context.

        Raises:
            ProblemError: all are taken (429).
        """
        with self._lock:
            if self.taken >= self.most:
                raise self._full(f"{self.most} requests are waiting already")
            self.taken += 1
        return Place(self)

    def grow(self, more: int) -> None:
        """Count more bytes, or with a negative number fewer.

        Raises:
            ProblemError: that would be too many (429).
        """
        with self._lock:
            if more > 0 and self.held + more > self.most_bytes:
                raise self._full("the requests that wait hold as many bytes as they may")
            self.held += more

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self.taken -= 1

    def note(self, seconds: float, images: int) -> None:
        """Images were computed: how long those that wait will take is told from it."""
        with self._lock:
            self._seconds += _NEWEST * (seconds / images - self._seconds)

    @property
    def wait(self) -> int:
        """Whole seconds until about all that are taken now are answered, 1 … 60."""
        return min(max(math.ceil(self.taken * self._seconds), 1), _LONGEST_WAIT)

    def _full(self, reason: str) -> ProblemError:
        wait = self.wait
        return ProblemError(429, "queue_full", f"Busy: {reason}. Try again in {wait} s.", wait)


class Place:
    """One request's place, and the bytes that it holds there."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._held = 0

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._places.grow(-self._held)
        self._places.leave()

    def hold(self, length: int) -> None:
        """Make sure that there is room for so many bytes until the place is left.

        Raises:
            ProblemError: together with all others that is too many (429).
        """
        if length > self._held:
            self._places.grow(length - self._held)
            self._held = length
