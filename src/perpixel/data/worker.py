"""A loading process: one thread, deaf to what its training process hears, and gone when that is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import cv2
import psutil

# How often a loading process looks whether its training process is there, and how long it waits for
# torch to end it when it is not needed any more, both in seconds.
LOOKS_EVERY = 2.0


def start_method() -> str:
    """How loading processes begin."""
    # A fork of a process whose OpenMP threads run would be killed in its first kernel. Windows has
    # no forkserver; what a process needs at its start can be spawned, too.
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def preparation() -> tuple[Callable[[int], None], Callable[[], None]]:
    """What makes a new process a loading process of the calling one, given its number; and what
    says, called in this one, that all that were made so are not needed any more."""
    training = psutil.Process()
    needed, held = multiprocessing.Pipe(duplex=False)
    return partial(_prepare, training.pid, training.create_time(), needed), held.close


def _prepare(training: int, begun: float, needed: Connection, _: int) -> None:
    # Torch does the same for itself; a loading process is one of several.
    cv2.setNumThreads(1)
    # Terminals and schedulers signal all processes at once; the training process decides when this
    # one has loaded enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_outlive, args=(training, begun, needed), daemon=True).start()


def _outlive(training: int, begun: float, needed: Connection) -> None:
    """End this process when its loader is gone, or the training process has been killed.

    Torch says farewell through a queue, which fails where the garbage collector found the queue
    first; then it only sends the signal that is not heard here, and waits for ever. And it looks
    for the parent to be gone, but that is the server that forks loading processes.
    """
    # A closed pipe is an error on Windows, and has something to read elsewhere. A process that the
    # training process has forked may hold it open.
    with suppress(OSError):
        while not needed.poll(LOOKS_EVERY) and _is_there(training, begun):
            pass
    # An end in the middle of a farewell would leave torch's locks closed.
    time.sleep(LOOKS_EVERY)
    # Nothing went wrong, so no status that torch would report as a loss.
    os._exit(0)


def _is_there(number: int, begun: float) -> bool:
    try:
        process = psutil.Process(number)
        return bool(process.create_time() == begun and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
