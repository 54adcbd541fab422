"""MATLAB files of version 5, as SBD has its labels in: the numbers of a field in a structure.

Layout of the bytes: MathWorks, "MAT-File Format", level 5. Text and sparse arrays are skipped."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _SPARSE, _CHAR = 1, 2, 5, 4
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}


@dataclass(frozen=True)
class _Reader:
    """Reads in the byte order of the file."""

    order: str

    def elements(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and content of each element that the bytes hold one after the other."""
        at = 0
        while at + 8 <= len(data):
            (word,) = struct.unpack_from(self.order + "I", data, at)
            if word >> 16:
                # A small element: its content is in the tag itself.
                kind, size = word & 0xFFFF, word >> 16
                start, step = at + 4, 8
            else:
                kind, (size,) = word, struct.unpack_from(self.order + "I", data, at + 4)
                start = at + 8
                step = 8 + size + (0 if kind == _COMPRESSED else -size % 8)
            if start + size > len(data):
                raise ValueError("an element reaches beyond the end")
            content = data[start : start + size]
            if kind == _COMPRESSED:
                yield from self.elements(zlib.decompress(content))
            else:
                yield kind, content
            at += step

    def field(self, content: bytes, path: list[str]) -> Shaped[np.ndarray, "*shape"] | None:
        """The numbers at a path of names within a matrix; None where it does not lead there."""
        parts = list(self.elements(content))
        flags, shape, name = (self._numbers(*part) for part in parts[:3])
        kind = int(flags[0]) & 0xFF
        if path and name.size and bytes(name).decode("latin-1") == path[0]:
            path = path[1:]
        if kind == _STRUCT and path:
            length = int(self._numbers(*parts[3])[0])
            text = bytes(parts[4][1])
            names = [text[at : at + length].split(b"\0")[0] for at in range(0, len(text), length)]
            for field, (_, inside) in zip(names, parts[5:], strict=False):
                if field.decode("latin-1") == path[0]:
                    return self.field(inside, path[1:])
            return None
        if path or kind in (_CELL, _STRUCT, _SPARSE, _CHAR):
            return None
        # MATLAB stores columns one after the other.
        return self._numbers(*parts[3]).reshape(shape.tolist(), order="F")

    def _numbers(self, kind: int, content: bytes) -> Shaped[np.ndarray, "values"]:
        return np.frombuffer(content, np.dtype(self.order + _NUMBERS[kind]))


def read_field(data: bytes, path: list[str]) -> Shaped[np.ndarray, "*shape"] | None:
    """The array of numbers at `path`: a variable's name, then names of fields; None if there is
    none.

    Raises:
        ValueError: the bytes are no MATLAB file of version 5, or damaged.
    """
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("no MATLAB file of version 5")
    reader = _Reader("<" if data[126:128] == b"IM" else ">")
    try:
        for kind, content in reader.elements(data[_HEADER:]):
            if kind == _MATRIX:
                found = reader.field(content, path)
                if found is not None:
                    return found
    except (struct.error, zlib.error, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"damaged ({error})") from None
    return None
