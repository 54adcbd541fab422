"""Unfinished: a large mask while it is made, on the disk beside its place, with a journal of what
is there, so that a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from perpixel.errors import OutputError
from perpixel.inference.large.in_place import lock, open_in_place, read_at, reserve, write_at
from perpixel.inference.tiles.tiling import Rectangle

FORMAT = "perpixel unfinished mask 1"


class Unfinished:
    """Two hidden files beside the mask: its pixels row by row, `.NAME.unfinished`, and a journal,
    `.NAME.journal`: a line that says what is made from what, then one for each finished step with
    the checksum of its pixels.

    Pixels are believed only where their checksum agrees. So a run may end at any moment, by a
    signal or with the machine, and nothing has to be flushed. A lock keeps a second run away.

    Args:
        path: where the mask will be.
        size: (H, W) of the mask.
        dtype: of its values.
        steps: for each step the parts that it makes.
        key: from what and how the mask is made, as JSON values; a journal with another key is of
            another mask, and is overwritten.

    Raises:
        OutputError: the files cannot be made, the disk has too little room, or another run is
            at work on the same mask.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        dtype: np.dtype[np.generic],
        steps: Sequence[Sequence[Rectangle]],
        key: Mapping[str, Any],
    ) -> None:
        self.path = path
        self.size = size
        self.dtype = dtype
        self.steps = steps
        self.finished: set[int] = set()
        self._to_remove: list[Path] = []
        self._pixels_path, self._journal_path = _beside(path)
        with self._complaining():
            self._journal = open_in_place(self._journal_path)
        try:
            self._lock()
            with self._complaining():
                self._pixels = open_in_place(self._pixels_path)
        except OutputError:
            os.close(self._journal)
            raise
        try:
            with self._complaining():
                self._take_up({"format": FORMAT, **key})
        except OutputError:
            self.discard()
            self.close()
            raise

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, step: int, masks: Sequence[Shaped[np.ndarray, "_ _"]]) -> None:
        """Keep the pixels of a step, part by part, and then say so in the journal.

        Raises:
            OutputError: the disk is full, or broken.
        """
        checksum = 0
        with self._complaining():
            for part, mask in zip(self.steps[step], masks, strict=True):
                rows = np.ascontiguousarray(mask, self.dtype)
                for index, row in enumerate(rows):
                    write_at(self._pixels, row.tobytes(), self._at(part.top + index, part.left))
                checksum = zlib.crc32(rows.data, checksum)
            os.write(self._journal, f"{step} {checksum:08x}\n".encode())
        self.finished.add(step)

    def rows(self, top: int, height: int) -> Shaped[np.ndarray, "height W"]:
        """Some rows of the mask; where no step is finished they mean nothing."""
        content = self._read(self._at(top, 0), height * self.size[1] * self.dtype.itemsize)
        return np.frombuffer(content, self.dtype).reshape(height, self.size[1])

    def close(self) -> None:
        """Let go of the files; they stay for the next run."""
        os.close(self._pixels)
        # The lock goes with it.
        os.close(self._journal)
        for path in self._to_remove:
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the files; where the system removes no open ones, when they are closed."""
        for path in (self._pixels_path, self._journal_path):
            try:
                path.unlink(missing_ok=True)
            except PermissionError:
                self._to_remove.append(path)

    def _take_up(self, key: Mapping[str, Any]) -> None:
        length = self.size[0] * self.size[1] * self.dtype.itemsize
        with os.fdopen(os.dup(self._journal), "rb") as file:
            content = file.read()
        lines = content.decode("ascii", errors="replace").split("\n")
        first = json.dumps(dict(key), sort_keys=True)
        # What follows the last line end was cut off in the middle of writing; so may the first be.
        whole = len(lines) > 1 and lines[0] == first
        if whole and os.fstat(self._pixels).st_size == length:
            self._believe(lines[1:-1])
            os.ftruncate(self._journal, len(content) - len(lines[-1].encode()))
        else:
            os.ftruncate(self._journal, 0)
            os.ftruncate(self._pixels, 0)
            # A disk that is too small is found out now, not after hours.
            reserve(self._pixels, self._pixels_path, length)
            os.lseek(self._journal, 0, os.SEEK_SET)
            os.write(self._journal, f"{first}\n".encode("ascii"))
        os.lseek(self._journal, 0, os.SEEK_END)

    def _believe(self, lines: Sequence[str]) -> None:
        for line in lines:
            words = line.split(" ")
            if len(words) != 2 or not words[0].isdecimal() or int(words[0]) >= len(self.steps):
                continue
            step = int(words[0])
            if words[1] == f"{self._checksum(step):08x}":
                self.finished.add(step)

    def _checksum(self, step: int) -> int:
        checksum = 0
        for part in self.steps[step]:
            for row in range(part.top, part.top + part.height):
                content = self._read(self._at(row, part.left), part.width * self.dtype.itemsize)
                checksum = zlib.crc32(content, checksum)
        return checksum

    def _at(self, row: int, column: int) -> int:
        return (row * self.size[1] + column) * self.dtype.itemsize

    def _read(self, at: int, length: int) -> bytes:
        pieces = []
        while length:
            piece = read_at(self._pixels, length, at)
            if not piece:
                raise OutputError(
                    self._pixels_path,
                    found="was cut short while it was in use",
                    mend="Start the prediction again",
                )
            pieces.append(piece)
            at, length = at + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _lock(self) -> None:
        with self._complaining():
            free = lock(self._journal)
        if not free:
            raise OutputError(
                self.path,
                found="another run is making this mask",
                mend="Wait for it, or give the results another place",
            )

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                self.path,
                found=f"cannot be written ({error.strerror or error})",
                mend="Give a place in a folder that exists, may be written to and has room",
            ) from None


def begun(path: Path) -> dict[str, Any] | None:
    """The key of the mask that an interrupted run left unfinished; None where there is none."""
    try:
        with _beside(path)[1].open(encoding="ascii") as file:
            key = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return key if isinstance(key, dict) and key.get("format") == FORMAT else None


def _beside(path: Path) -> tuple[Path, Path]:
    return (
        path.with_name(f".{path.name}.unfinished"),
        path.with_name(f".{path.name}.journal"),
    )
