"""What visitors of the page can still look at: the newest results, within a limit of memory."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from perpixel.errors import DataError
from perpixel.inference.segmentation import Segmentation

LARGEST_BYTES = 1 << 29


class Kept:
    """Results by a key that nobody can guess. The oldest are forgotten when there are too many.

    Methods may be called from several threads.

    Args:
        largest_bytes: that all results together may have; the newest is kept whatever it has.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self.largest_bytes = largest_bytes
        self._results: OrderedDict[str, Segmentation] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, segmentation: Segmentation) -> str:
        """Keep a result; the key to it."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._results[key] = segmentation
            total = sum(map(_bytes, self._results.values()))
            while total > self.largest_bytes and len(self._results) > 1:
                total -= _bytes(self._results.popitem(last=False)[1])
        return key

    def get(self, key: str | None) -> Segmentation:
        """The result of that key.

        Raises:
            DataError: it has been forgotten.
        """
        with self._lock:
            found = self._results.get(key or "")
            if found is not None:
                self._results.move_to_end(key or "")
                return found
        raise DataError(
            "image",
            found="the server no longer holds this result",
            mend="Hand in the image again",
        )

    def pop(self, key: str | None) -> Segmentation | None:
        """Forget a result that its owner has put away; None where it is forgotten already."""
        with self._lock:
            return self._results.pop(key or "", None)


def _bytes(segmentation: Segmentation) -> int:
    return segmentation.mask.nbytes + segmentation.confidence.nbytes + segmentation.image.nbytes
