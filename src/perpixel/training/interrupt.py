"""Ctrl-C and SIGTERM as requests that a loop honours after its step, not in its middle."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_HEARD = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While this context is open, Ctrl-C or SIGTERM only sets `asked`; a second one interrupts.

    SIGTERM is what schedulers send some seconds before they take a machine away. Python delivers
    signals to the main thread alone; in any other thread nothing is changed.

    Attributes:
        signal: the number of the signal that came; None: none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether one has come."""
        return self.signal is not None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in _HEARD}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # Launchers pass SIGTERM on to processes that have had their own: only Ctrl-C insists.
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
