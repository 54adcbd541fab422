"""Work that is finished in threads behind, while the main thread makes the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# More threads help where a disk is slow to say that a file is safe on it.
_THREADS = 2


def finished_behind(
    works: Iterable[Callable[[], Result]], *, behind: int
) -> Generator[Result, None, None]:
    """Do each piece of work in a thread while the caller's thread makes the next; results in order.

    The works are made, one by one, in the thread that takes the results. What a work raises is
    raised here in its place; then, and when the iterator is closed or interrupted, works that have
    begun are waited for, others are dropped, and no thread is left.

    Args:
        works: what makes them may take long, and should let go of Python's lock meanwhile.
        behind: how many works at most are unfinished while the next is made.
    """
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="perpixel-finish")
    unfinished: deque[Future[Result]] = deque()
    try:
        for work in works:
            unfinished.append(pool.submit(work))
            while len(unfinished) > behind or (unfinished and unfinished[0].done()):
                yield unfinished.popleft().result()
        while unfinished:
            yield unfinished.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
