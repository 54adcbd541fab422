"""EXIF: which way up a picture was taken."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_APP1, _START_OF_SCAN = 0xE1, 0xDA


def orientation(block: bytes) -> int:
    """The orientation, 1 (upright) to 8, that an EXIF block states; 1 where it states none.

    Cameras write broken blocks; like every viewer we then show the picture as it is stored.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 10:
        return 1
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return 1
    (entries,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", block, at)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else 1
    return 1


def split_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG without its EXIF block, and the block; empty where there is none.

    Pillow warns about what it dislikes in the block, of which we need the orientation alone.

    Raises:
        ValueError: the segments before the picture make no sense.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError(f"no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:
            # A fill byte.
            at += 1
            continue
        if marker == _START_OF_SCAN:
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _APP1 and data[at + 4 : at + 8] == b"Exif":
            return data[:at] + data[end:], data[at + 4 : end]
        at = end
    return data, b""
