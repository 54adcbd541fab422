"""The colours that a palette file gives its values."""

from __future__ import annotations

import struct

from perpixel.labels import Colour

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def palette_colours(data: bytes) -> list[Colour]:
    """The palette of a PNG that can be read, from its PLTE chunk; empty where it has none.

    The chunk lies before the pixels, so that only a few bytes are looked at.
    """
    if not data.startswith(_SIGNATURE) or data[25] != 3:
        return []
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"PLTE":
            content = data[at + 8 : at + 8 + length]
            return [
                (content[index], content[index + 1], content[index + 2])
                for index in range(0, len(content) - 2, 3)
            ]
        at += 12 + length
    return []
