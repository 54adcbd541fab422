"""Keeping a run's files: in order, and again later where the disk did not take them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from perpixel.errors import OutputError
from perpixel.training import files
from perpixel.training.report import Listener
from perpixel.training.state_file import write_state
from perpixel.whole_file import write_whole

# At the end of a run what is still unwritten is tried again after these pauses, in seconds.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class Keeper:
    """Writes the files of a run folder, and never stops a run that the disk fails.

    What cannot be written is said once and kept in memory; the next call tries it again. A state is
    written only after every file that it takes for granted, so whoever goes on from it finds them.

    Args:
        folder: the run folder.
        listener: hears what cannot be written, and when it could be after all.
        writes: False in every process but the main one: then nothing is ever written.
    """

    def __init__(self, folder: Path, listener: Listener, writes: bool = True) -> None:
        self.folder = folder
        self._listener = listener
        self._writes = writes
        self._waiting: dict[str, Callable[[], None]] = {}
        self._failure: str | None = None

    @property
    def failing(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def put(self, name: str, content: bytes) -> None:
        """Write a file, now or as soon as it can be."""
        self._try(name, lambda: write_whole(self.folder / name, content))

    def state(self, content: bytes) -> bool:
        """Write a state, after all files that wait; whether that was possible."""
        return self._try("state", lambda: write_state(self.folder, content))

    def finish(self) -> None:
        """Write what still waits, with some patience.

        Raises:
            OutputError: it could not be written; says what is missing.
        """
        for pause in PAUSES:
            if not self._waiting:
                return
            time.sleep(pause)
            self._flush()
        if self._waiting:
            raise OutputError(
                self.folder,
                found=f"{self._failure} The run came to its end, but "
                f"{', '.join(self._waiting)} could not be written",
                mend=f"Make room, and run `{files.resuming(self.folder)}`: it repeats "
                "what was done since the last state that could be written",
            )

    def _try(self, name: str, write: Callable[[], None]) -> bool:
        if not self._writes:
            return True
        # The newest content of a name takes the place of an older one, at the end of the queue.
        self._waiting.pop(name, None)
        self._waiting[name] = write
        return self._flush()

    def _flush(self) -> bool:
        for name, write in sorted(self._waiting.items(), key=lambda item: item[0] == "state"):
            try:
                write()
            except OutputError as error:
                if self._failure is None:
                    self._listener.line(
                        f"warning: {error} Training goes on, and writing is tried again."
                    )
                self._failure = str(error)
                return False
            del self._waiting[name]
        if self._failure is not None:
            self._listener.line(f"{self.folder} can be written again, and has everything")
            self._failure = None
        return True
