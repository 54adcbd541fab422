"""A loading process: one thread, deaf to what its training process hears, and gone when that is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

import cv2
import psutil

# How often a loading process looks whether it is still needed, in seconds.
LOOKS_EVERY = 2.0
# Windows knows no SIGKILL; there this one ends a process at once, too.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def preparation() -> Callable[[int], None]:
    """What makes a new process a loading process of the calling one, given its number."""
    training = psutil.Process()
    return partial(_prepare, training.pid, training.create_time())


def _prepare(training: int, begun: float, _: int) -> None:
    # Torch does the same for itself; a loading process is one of several.
    cv2.setNumThreads(1)
    # Terminals and schedulers signal all processes at once; the training process decides when this
    # one has loaded enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Torch looks for the parent to be gone, but that is the server that forks loading processes.
    threading.Thread(target=_outlive, args=(training, begun), daemon=True).start()


def _outlive(training: int, begun: float) -> None:
    """End this process when the training process has been killed."""
    while _is_there(training, begun):
        time.sleep(LOOKS_EVERY)
    os.kill(os.getpid(), _KILL)


def _is_there(number: int, begun: float) -> bool:
    try:
        process = psutil.Process(number)
        return bool(process.create_time() == begun and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
