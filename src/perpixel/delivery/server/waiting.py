"""Images that wait for the network, and which of them go through it together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped

from perpixel.delivery.server.problems import ProblemError
from perpixel.inference.segmentation import ClassMask

# Height, width, bands and type: of images that are alike in all of these a batch is made. Images
# of other sizes are never padded to a common one, though the network would take them: a pixel near
# the border sees the padding, so an image's mask would depend on its neighbours in the queue.
Bucket = tuple[int, int, int, str]
# A batch of small images saves most of what each costs beside its arithmetic; from here on there
# is nothing left to save, and the caches overflow.
BATCH_PIXELS = 1 << 19


@dataclass(eq=False)
class Job:
    """An image, and what is to become of it.

    Args:
        bucket: which images it can share a batch with.
        decode: its pixels; raises a ProblemError where there are none.
        finish: makes the answer of what was predicted.
        confidence: whether the answer needs it; without it a mask is found sooner.
        deadline: on the clock of `time.monotonic`; later nobody waits for the answer.
        future: of the answer.
    """

    bucket: Bucket
    decode: Callable[[], Shaped[np.ndarray, "bands H W"]]
    finish: Callable[[ClassMask], object]
    confidence: bool
    deadline: float
    future: Future[object] = field(default_factory=Future)

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.future.cancelled() and time.monotonic() <= self.deadline

    def begin(self) -> bool:
        """Whether somebody still waits for the answer; from now on it cannot be called off."""
        if not self.future.set_running_or_notify_cancel():
            return False
        if not self.wanted:
            self.future.set_exception(too_late())
            return False
        return True


class Waiting:
    """Jobs in the order of their coming, as long as their futures are not cancelled.

    Args:
        batch: jobs of one bucket that are handed out together, at most.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._jobs: dict[Future[object], Job] = {}
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Queue a job.

        Raises:
            ProblemError: the server is stopping (503).
        """
        with self._changed:
            if self._closed:
                raise ProblemError(503, "stopping", "The server is stopping.", 5)
            self._jobs[job.future] = job
            self._changed.notify()
        # A job holds its image's bytes, whose room is given back when nobody waits for them. A
        # future that knew its job would keep it alive until garbage is collected.
        job.future.add_done_callback(self._forget)

    def take(self) -> list[Job]:
        """The oldest job, and those of its bucket that go with it, oldest first; waits until there
        is one. Empty: none is left, and none will come."""
        with self._changed:
            while True:
                while self._jobs:
                    first = self._jobs.pop(next(iter(self._jobs)))
                    if first.begin():
                        return [first, *self._mates(first)]
                if self._closed:
                    return []
                self._changed.wait()

    def close(self) -> None:
        """Take no more jobs; those that are here are still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget(self, done: Future[object]) -> None:
        with self._changed:
            self._jobs.pop(done, None)

    def _mates(self, first: Job) -> list[Job]:
        height, width = first.bucket[:2]
        alike = [job for job in self._jobs.values() if job.bucket == first.bucket and job.wanted]
        most = min(self.batch, max(BATCH_PIXELS // (height * width), 1), 1 + len(alike))
        # Powers of two alone: a runtime prepares itself for each new shape of a batch.
        chosen = alike[: (1 << (most.bit_length() - 1)) - 1]
        for job in chosen:
            del self._jobs[job.future]
        return [job for job in chosen if job.begin()]


def too_late() -> ProblemError:
    """For an answer that is not ready in time."""
    return ProblemError(503, "too_late", "The answer was not ready in time. Try again.", 5)
