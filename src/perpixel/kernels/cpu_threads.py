"""Kernels side by side on torch's number of threads.

Neither of Numba's own thread layers suits both training and serving: with OpenMP a forked loader
worker that enters a kernel is killed, with its work queue two Python threads that call at once
abort the process. Kernels release the GIL instead, and plain Python threads run them: any number
of callers, forked children included, and torch's own thread count is read and never set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

_pool: ThreadPoolExecutor | None = None


def side_by_side(work: Callable[[Iterator[int]], None], pieces: int) -> None:
    """Let several threads do the work on `pieces` pieces, each taking the next one that is free.

    `work` takes indices from the iterator until it is empty. The caller works too, so that all is
    done even where other callers keep the pool busy. What a piece computes must not depend on who
    computes it: then neither does the result.
    """
    indices = iter(range(pieces))
    others = min(torch.get_num_threads(), pieces) - 1
    if others < 1:
        work(indices)
        return
    waiting = [_workers().submit(work, indices) for _ in range(others)]
    try:
        work(indices)
    finally:
        started = [each for each in waiting if not each.cancel()]
        for each in started:
            each.result()


def _workers() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="perpixel-kernel")
    return _pool


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):  # Windows has none, and does not fork
    os.register_at_fork(after_in_child=_forget)
