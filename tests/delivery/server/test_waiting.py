"""In which order images leave the queue, and with whom."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpixel.delivery.server.places import Places
from perpixel.delivery.server.problems import ProblemError
from perpixel.delivery.server.waiting import BATCH_PIXELS, Job, Waiting


def job(size: tuple[int, int] = (8, 8), *, seconds: float = 60.0) -> Job:
    return Job(
        (*size, 3, "|u1"),
        lambda: np.zeros((3, *size), np.uint8),
        lambda found: found,
        confidence=False,
        deadline=time.monotonic() + seconds,
    )


def queued(jobs: list[Job], batch: int) -> Waiting:
    waiting = Waiting(batch)
    for one in jobs:
        waiting.add(one)
    return waiting


@given(
    st.lists(st.sampled_from([(8, 8), (8, 9), (400, 600), (600, 800), (1000, 1000)])),
    st.integers(1, 9),
)
def test_every_image_leaves_once_with_its_like_and_the_oldest_first(
    sizes: list[tuple[int, int]], batch: int
) -> None:
    jobs = [job(size) for size in sizes]
    waiting = queued(jobs, batch)
    waiting.close()
    left: list[Job] = list(jobs)
    while taken := waiting.take():
        assert taken[0] is left[0]
        assert len({one.bucket for one in taken}) == 1
        assert len(taken) in (1, 2, 4, 8)
        assert len(taken) <= batch
        if len(taken) > 1:
            height, width = taken[0].bucket[:2]
            assert len(taken) * height * width <= BATCH_PIXELS
        alike = [one for one in left if one.bucket == taken[0].bucket]
        if len(taken) > 1:
            assert taken == alike[: len(taken)]
        left = [one for one in left if one not in taken]
    assert left == []


def test_small_images_fill_a_batch() -> None:
    waiting = queued([job((8, 9)), *(job() for _ in range(7))], 4)
    assert [len(waiting.take()) for _ in range(4)] == [1, 4, 2, 1]


def test_what_nobody_waits_for_is_left_out() -> None:
    gone, late, mate = job(), job(seconds=-1), job(seconds=-1)
    waiting = queued([gone, late, job(), mate, job()], 4)
    gone.future.cancel()
    assert len(waiting.take()) == 2
    waiting.close()
    assert waiting.take() == []
    for one in (late, mate):
        with pytest.raises(ProblemError, match="in time"):
            one.future.result(0)
    with pytest.raises(CancelledError):
        gone.future.result(0)


def test_jobs_called_off_leave_the_queue_and_the_memory_at_once() -> None:
    waiting = Waiting(4)
    stays = job()
    waiting.add(stays)
    jobs = [job() for _ in range(5)]
    futures, held = [one.future for one in jobs], [weakref.ref(one) for one in jobs]
    for one in jobs:
        waiting.add(one)
    del one, jobs
    gc.disable()
    try:
        for future in futures:
            future.cancel()
        assert len(waiting) == 1
        assert [found() for found in held] == [None] * 5
    finally:
        gc.enable()
    assert waiting.take() == [stays]


def test_who_waits_for_an_image_gets_it_and_hears_of_the_end() -> None:
    waiting = Waiting(4)
    taken: list[list[Job]] = []

    def work() -> None:
        while jobs := waiting.take():
            taken.append(jobs)

    thread = threading.Thread(target=work)
    thread.start()
    one = job()
    waiting.add(one)
    waiting.close()
    thread.join(30)
    assert taken == [[one]]
    with pytest.raises(ProblemError, match="stopping") as raised:
        waiting.add(job())
    assert raised.value.status == 503


def test_places_count_requests_and_bytes_and_give_both_back() -> None:
    places = Places(2, 100)
    with places.take() as first:
        first.hold(60)
        first.hold(10)
        with places.take() as second:
            with pytest.raises(ProblemError, match="as many bytes"):
                second.hold(41)
            second.hold(40)
            with pytest.raises(ProblemError, match="2 requests are waiting") as raised:
                places.take()
            assert raised.value.status == 429
            assert (places.taken, places.held) == (2, 100)
        assert (places.taken, places.held) == (1, 60)
        with places.take():
            pass
    assert (places.taken, places.held) == (0, 0)


def test_the_wait_is_told_from_what_images_took() -> None:
    places = Places(1000, 0)
    for _ in range(100):
        places.note(4.0, 2)
    with places.take(), places.take(), places.take():
        assert places.wait == 6
    assert places.wait == 1
    for _ in range(500):
        places.take()
    assert places.wait == 60
