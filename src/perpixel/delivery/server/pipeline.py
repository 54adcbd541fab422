"""The work of a server: images are decoded, computed and answered at the same time, in threads.

One thread computes, in batches, for the network has all cores already. While it does, two decode
the next batch, and two make the answers of the one before; so at most three batches are in memory
as pixels, however many requests wait.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped

from perpixel.delivery.server.exact_batches import ExactBatches
from perpixel.delivery.server.large import LargeOnes
from perpixel.delivery.server.problems import ProblemError, not_computed
from perpixel.delivery.server.waiting import Job, Waiting
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import ClassMask

_THREADS = 2
_LOG = logging.getLogger(__name__)
Result = TypeVar("Result")
Pixels = Shaped[np.ndarray, "_ _ _"]
_Batch = list[tuple[Job, Future[Pixels]]]
# What is told of the work: a stage's name, its seconds, and how many images it was.
Watch = Callable[[str, float, int], None]


class Pipeline:
    """Computes jobs, several at a time. Threads begin with `start` and end with `close`.

    Args:
        model: what predicts.
        batch: images of one size that go through the network together, at most.
        watch: told of each stage; from several threads.
    """

    def __init__(self, model: Model, batch: int, watch: Watch = lambda stage, took, images: None):
        self.model = model
        self.waiting = Waiting(batch)
        self._large = LargeOnes(model)
        self._watch = watch
        self._batches = ExactBatches(model)
        self._ready: queue.Queue[_Batch | None] = queue.Queue()
        # One batch is computed while the next is decoded; a third is not begun, so that whatever
        # comes meanwhile can still join it.
        self._room = threading.Semaphore(2)
        self._threads: list[threading.Thread] = []
        self._decoders: ThreadPoolExecutor
        self._finishers: ThreadPoolExecutor

    def start(self) -> None:
        """Begin to work."""
        self._decoders = ThreadPoolExecutor(_THREADS, "perpixel-decode")
        self._finishers = ThreadPoolExecutor(_THREADS, "perpixel-answer")
        for work in (self._gather, self._compute):
            # A daemon: a second Ctrl-C ends the process without waiting for anything.
            thread = threading.Thread(target=work, name=f"perpixel{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, job: Job) -> Future[object]:
        """Queue a job; its future gets the answer or a ProblemError.

        Raises:
            ProblemError: the server is stopping (503).
        """
        self.waiting.add(job)
        return job.future

    @property
    def alive(self) -> bool:
        """Whether jobs are being worked on."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Finish what was taken, and end the threads."""
        self.waiting.close()
        for thread in self._threads:
            thread.join()
        self._decoders.shutdown()
        self._finishers.shutdown()

    def _gather(self) -> None:
        while True:
            self._room.acquire()
            jobs = self.waiting.take()
            if not jobs:
                self._ready.put(None)
                return
            self._ready.put([(job, self._decoders.submit(self._decode, job)) for job in jobs])

    def _decode(self, job: Job) -> Pixels:
        return self._timed("decode", job.decode)

    def _compute(self) -> None:
        answering: deque[list[Future[None]]] = deque()
        while (batch := self._ready.get()) is not None:
            answering.append(self._computed(batch))
            self._room.release()
            del batch
            while len(answering) > 1:
                wait(answering.popleft())

    def _computed(self, batch: _Batch) -> list[Future[None]]:
        jobs, images = [], []
        for job, decoded in batch:
            try:
                images.append(decoded.result())
                jobs.append(job)
            except Exception as error:
                _fail(job, error)
        if not jobs:
            return []
        try:
            found = self._timed("network", lambda: self._segmented(jobs, images), len(jobs))
        except Exception as error:
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return []
            # One image may have spoiled it for the others.
            apart = [[pair] for pair in batch if pair[0] in jobs]
            return [future for one in apart for future in self._computed(one)]
        return [
            self._finishers.submit(self._finish, job, one)
            for job, one in zip(jobs, found, strict=True)
        ]

    def _segmented(self, jobs: Sequence[Job], images: Sequence[Pixels]) -> list[ClassMask]:
        if len(images) == 1 and self._large.takes(images[0]):
            return [self._large.predict(images[0])]
        return [
            self.model.segmentation(image, [scores])
            if job.confidence
            else self.model.class_mask(image, [scores])
            for job, image, scores in zip(jobs, images, self._batches.scores(images), strict=True)
        ]

    def _finish(self, job: Job, found: ClassMask) -> None:
        try:
            answer = self._timed("answer", lambda: job.finish(found))
        except Exception as error:
            _fail(job, error)
        else:
            job.future.set_result(answer)

    def _timed(self, stage: str, work: Callable[[], Result], images: int = 1) -> Result:
        start = time.perf_counter()
        result = work()
        self._watch(stage, time.perf_counter() - start, images)
        return result


def _fail(job: Job, error: Exception) -> None:
    if not isinstance(error, ProblemError):
        _LOG.error("an image could not be computed", exc_info=error)
        error = not_computed()
    job.future.set_exception(error)
