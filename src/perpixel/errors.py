"""What can be wrong with what a user hands in: one family, one line each."""

from __future__ import annotations

from pathlib import Path


class PerpixelError(Exception):
    """Wrong input, said in one line: where, what was found, what was expected, how to mend it.

    The command prints that line, without a traceback, and exits with status 2.

    Args:
        where: the file, folder or setting that is wrong.
        found: what was found there.
        expected: what should have been there; empty where `found` already says it.
        mend: what the user can do, as an imperative sentence without its full stop.
    """

    def __init__(self, where: str | Path, *, found: str, expected: str = "", mend: str) -> None:
        self.where = str(where)
        self.found = found
        self.expected = expected
        self.mend = mend
        wanted = f"; expected {expected}" if expected else ""
        super().__init__(f"{self.where}: {found}{wanted}. {mend}.")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel from loader workers by pickle, which would call __init__ positionally.
        return _rebuild, (type(self), self.where, self.found, self.expected, self.mend)


def _rebuild(
    kind: type[PerpixelError], where: str, found: str, expected: str, mend: str
) -> PerpixelError:
    return kind(where, found=found, expected=expected, mend=mend)


class DataError(PerpixelError):
    """An image, a mask, a dataset folder or its class list cannot be used."""


class ModelError(PerpixelError):
    """A model file is not one of ours, is damaged, or does not fit the input."""


class WeightsError(PerpixelError):
    """Pretrained weights cannot be found, fetched or fitted."""


class ConfigError(PerpixelError):
    """A setting is out of range, or two settings contradict each other."""


class OutputError(PerpixelError):
    """A result cannot be written."""


class TrainingError(PerpixelError):
    """A training cannot go on: its loss is no number, or a step does not fit into memory."""


class Stopped(KeyboardInterrupt):
    """A run was asked to stop by Ctrl-C or a signal, and its state is saved.

    Args:
        message: where it stopped and how to go on, in one line.
        signal: the signal's number.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
