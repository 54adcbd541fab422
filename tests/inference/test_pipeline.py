"""Work finished behind: in order, bounded, and over when its taker is."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.inference.pipeline import finished_behind


def finishing_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("perpixel-finish")]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3), max_size=12), st.integers(0, 4))
def test_results_come_in_the_order_of_the_works_however_long_each_takes(durations, behind):
    def work(index: int, milliseconds: int) -> int:
        time.sleep(milliseconds / 1000)
        return index

    works = (partial(work, index, each) for index, each in enumerate(durations))
    assert list(finished_behind(works, behind=behind)) == list(range(len(durations)))
    assert finishing_threads() == []


def test_the_next_is_made_while_the_one_before_is_unfinished():
    made = threading.Event()

    def works():
        # Would wait for ever if nothing were made before this was finished.
        yield partial(made.wait, 30)
        made.set()
        yield lambda: True

    assert list(finished_behind(works(), behind=1)) == [True, True]


@pytest.mark.parametrize("behind", [0, 1, 3])
def test_no_more_works_are_unfinished_than_allowed_while_the_next_is_made(behind):
    unfinished, most = set(), 0

    def works():
        nonlocal most
        for index in range(20):
            most = max(most, len(unfinished))
            unfinished.add(index)
            yield partial(finish, index)

    def finish(index: int) -> None:
        time.sleep(0.002)
        unfinished.discard(index)

    list(finished_behind(works(), behind=behind))
    assert most <= behind


def test_what_a_work_raises_is_raised_in_its_place_and_works_not_begun_are_dropped():
    begun: list[int] = []

    def work(index: int) -> int:
        begun.append(index)
        if index == 2:
            raise OSError(28, "No space left on device")
        return index

    taken = []
    works = (partial(work, index) for index in range(100))
    with pytest.raises(OSError, match="No space left"):
        taken.extend(finished_behind(works, behind=2))
    assert taken == [0, 1]
    assert len(begun) <= 6
    assert finishing_threads() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_waits_for_works_that_have_begun(error):
    begun, finished = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        finished.set()

    def works():
        yield work
        begun.wait(30)
        raise error

    with pytest.raises(error):
        list(finished_behind(works(), behind=2))
    assert finished.is_set()
    assert finishing_threads() == []


def test_a_taker_that_goes_away_ends_it():
    works = (partial(int, index) for index in range(100))
    with closing(finished_behind(works, behind=2)) as results:
        assert next(results) == 0
    assert finishing_threads() == []
