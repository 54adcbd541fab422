"""TIFF files that are made to hurt: whose few bytes stand for many, by tags that lie over each
other, tiles that share their bytes, or tiles larger than any picture."""

from __future__ import annotations

import struct

from perpixel.data import tiff

_MOST_PAGES = 64
_MOST_ENTRIES = 512
# Numbers in one tag: offsets of the strips or tiles of a large image. Each takes some 40 bytes
# once it is Python's.
_MOST_VALUES = 1 << 20
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_SIZES |= {13: 4, 17: 8, 18: 8}


def check_structure(data: bytes, most_pixels: int) -> None:
    """See that the file asks for no more work than its length allows.

    Raises:
        ValueError: it does, or its directories make no sense.
    """
    check_directories(data)
    for tags in tiff.read_bands(data):
        chunks = _lengths(tags)
        if sum(chunks) > len(data):
            raise ValueError("strips or tiles lie over each other")
        tile = int(tags.get(tiff.TILE_WIDTH, 1)) * int(tags.get(tiff.TILE_HEIGHT, 1))
        # A strip ends with its image, which is measured by whoever asks.
        if tile > most_pixels:
            raise ValueError("a tile is larger than an image may be")
        if int(tags.get(tiff.SAMPLES, 1)) > 65_535:
            raise ValueError("more bands than there can be")


def check_directories(data: bytes) -> None:
    """See that the pages and their tags are few, and that no two tags share their bytes.

    Raises:
        ValueError: they are not.
        struct.error: a directory lies outside of the file.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count, word, entry_size = ("Q", "Q", 20) if big else ("H", "I", 12)
    (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
    pages, values, seen = 0, 0, set[int]()
    while start and start not in seen:
        seen.add(start)
        pages += 1
        (entries,) = struct.unpack_from(order + count, data, start)
        if pages > _MOST_PAGES or entries > _MOST_ENTRIES:
            raise ValueError("too many pages or tags")
        begin = start + struct.calcsize(order + count)
        for at in range(begin, begin + entries * entry_size, entry_size):
            _, kind, number = struct.unpack_from(order + "HH" + word, data, at)
            if number > _MOST_VALUES and _SIZES.get(kind, 1) > 1:
                raise ValueError("a tag of too many numbers")
            values += number * _SIZES.get(kind, 1)
        # A tag's values may be stored in its own entry, which is why a few bytes are free.
        if values > len(data) + 64 * _MOST_ENTRIES:
            raise ValueError("tags lie over each other")
        after = begin + entries * entry_size
        room = after + struct.calcsize(order + word) <= len(data)
        start = struct.unpack_from(order + word, data, after)[0] if room else 0


def _lengths(tags: tiff.Tags) -> tuple[int, ...]:
    """Bytes of each strip or tile."""
    lengths: tuple[int, ...] = tags.get(tiff.TILE_COUNTS) or tags.get(tiff.STRIP_COUNTS, ())
    return lengths
