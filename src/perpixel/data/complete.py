"""Whether all of an image file is there, by the end that its format prescribes."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from perpixel.data import npy, tiff

# A marker of JPEG that something follows; in a scan FF 00 is a byte of the picture, and FF D0 …
# FF D7 stand within it.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_END, _START_OF_SCAN = b"\xd9", b"\xda"


def jpeg_scans(data: bytes) -> int:
    """How many scans a JPEG has, each a pass over its pixels; 0 where it has no end.

    From segment to segment: a thumbnail within one has an end of its own, and what follows the end,
    as the film of a moving photograph does, may look like anything.
    """
    scans, at = 0, 2
    while found := _MARKER.search(data, at):
        if found[1] == _END:
            return scans
        scans += found[1] == _START_OF_SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return 0


def _jpeg_complete(data: bytes) -> bool:
    return jpeg_scans(data) > 0


def _png_complete(data: bytes) -> bool:
    return any(name == b"IEND" for name, _ in png_chunks(data))


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk that lies within the file.

    Raises:
        ValueError: a chunk is not what its checksum says.
    """
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 <= len(data):
            if zlib.crc32(data[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
                raise ValueError("wrong checksum")
            yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end + 4


def _webp_complete(data: bytes) -> bool:
    (length,) = struct.unpack_from("<I", data, 4)
    return bool(len(data) >= 8 + length)


def _bmp_complete(data: bytes) -> bool:
    (start,) = struct.unpack_from("<I", data, 10)
    (header,) = struct.unpack_from("<I", data, 14)
    if header < 40:
        return bool(len(data) > start)
    width, height, _, bits, compression, stored = struct.unpack_from("<iiHHII", data, 18)
    rows = stored if compression in (1, 2) else abs(height) * ((abs(width) * bits + 31) // 32 * 4)
    return bool(len(data) >= start + rows)


COMPLETE = {
    "JPEG": _jpeg_complete,
    "PNG": _png_complete,
    "NPY": npy.is_complete,
    "TIFF": tiff.is_complete,
    "WEBP": _webp_complete,
    "BMP": _bmp_complete,
}
