"""TIFF files: their tags, whether they are complete, and the pixels of those with any number of
bands. Pillow has no type for many bands, and OpenCV silently garbles what is not RGB.

Pages of one band each, all of one size and type, are taken for the bands of one image."""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

SUBFILE, NO_DATA = 254, 42113
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR = 274, 277, 278, 284, 317
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
TILE_WIDTH, TILE_HEIGHT, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 338, 339
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
GREY, RGB, PALETTE, CMYK, YCBCR = 1, 2, 3, 5, 6
_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_SEPARATE_PLANES = 2
_DIFFERENCES = 2
# A page of fewer pixels, or a mask of transparency, of the one before.
_REDUCED, _TRANSPARENCY = 1, 4
_TEXT = 2

_MANY = {BITS, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS, EXTRA_SAMPLES, SAMPLE_FORMAT}
_KNOWN = _MANY | {
    *(SUBFILE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES),
    *(ROWS_PER_STRIP, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT),
}
# How `struct` reads the unsigned integer types of a tag.
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}

Tags = dict[int, Any]
# A file that is mapped into memory reads like its bytes.
Bytes = bytes | mmap.mmap


def read_tags(data: Bytes) -> Tags:
    """The numbers in the tags of the first picture: the ones below as tuples or plain numbers.

    Raises:
        KeyError: a tag that every TIFF has is missing.
        ValueError: the directory, or a tag's values, lie outside of the file.
    """
    return _page(data, _first(data))[0]


def read_bands(data: Bytes) -> list[Tags]:
    """The tags of each page whose pixels are bands of the image: the first, or all.

    Raises:
        KeyError: a tag that every TIFF has is missing.
        ValueError: a directory, or a tag's values, lie outside of the file.
    """
    first, *others = _pages(data)
    apart = _REDUCED | _TRANSPARENCY
    pages = [first, *(tags for tags in others if not tags.get(SUBFILE, 0) & apart)]
    kinds = [
        (page.get(SAMPLES, 1), page[WIDTH], page[HEIGHT], page.get(BITS), page.get(SAMPLE_FORMAT))
        for page in pages
    ]
    single = kinds[0][0] == 1 and pages[0].get(PHOTOMETRIC, GREY) != PALETTE
    wide = min(pages[0].get(BITS, (1,))) >= 8
    return pages if single and wide and len(set(kinds)) == 1 else pages[:1]


def may_say_what_is_missing(data: Bytes) -> bool:
    """Whether a value, a band or a page may say of some pixels that they were not measured.

    Raises:
        KeyError, ValueError: as `read_bands` does.
    """
    pages = list(_pages(data))
    return (
        NO_DATA in pages[0]
        or EXTRA_SAMPLES in pages[0]
        or pages[0].get(SAMPLES, 1) not in (1, 3)
        or any(tags.get(SUBFILE, 0) & _TRANSPARENCY for tags in pages)
    )


def _pages(data: Bytes) -> Iterator[Tags]:
    start, seen = _first(data), set[int]()
    while start and start not in seen:
        seen.add(start)
        tags, start = _page(data, start)
        yield tags


def _page(data: Bytes, start: int) -> tuple[Tags, int]:
    """The tags of the page whose directory starts there, and where the next page's starts."""
    big, order = _big(data), _order(data)
    entries = _number(data, order + ("Q" if big else "H"), start)
    tags: Tags = {}
    for entry in range(entries):
        at = start + (8 + 20 * entry if big else 2 + 12 * entry)
        tag, kind = _number(data, order + "H", at), _number(data, order + "H", at + 2)
        count = _number(data, order + ("Q" if big else "I"), at + 4)
        text = (tag, kind) == (NO_DATA, _TEXT)
        if not text and (tag not in _KNOWN or kind not in _INTEGERS):
            continue
        layout = f"{count}s" if text else f"{order}{count}{_INTEGERS[kind]}"
        place, room = (at + 12, 8) if big else (at + 8, 4)
        if struct.calcsize(layout) > room:
            place = _number(data, order + ("Q" if big else "I"), place)
        if count == 0 or place + struct.calcsize(layout) > len(data):
            raise ValueError(f"tag {tag} lies outside of the file")
        if tag in tags:
            # Decoders disagree about which of the two counts.
            raise ValueError(f"tag {tag} is there twice")
        values = struct.unpack_from(layout, data, place)
        tags[tag] = values if tag in _MANY else values[0]
    if min(tags[WIDTH], tags[HEIGHT]) < 1:
        raise ValueError("no pixels")
    after = start + (8 + 20 * entries if big else 2 + 12 * entries)
    # Some writers leave out the last 0.
    more = after + (8 if big else 4) <= len(data)
    return tags, _number(data, order + ("Q" if big else "I"), after) if more else 0


def no_data(tags: Tags) -> float | None:
    """The value that GDAL says means that there is no data; None where it says nothing."""
    try:
        return float(tags[NO_DATA].rstrip(b"\0 ").decode("ascii"))
    except (KeyError, ValueError):
        return None


def is_complete(data: Bytes) -> bool:
    """Whether each directory, and each strip or tile of the bands, lies within the file."""
    try:
        bands = read_bands(data)
    except ValueError:
        return False
    return all(at + count <= len(data) for tags in bands for at, count in _chunks(tags))


def decodes(tags: Tags) -> bool:
    """Whether `decode` knows the file's compression."""
    predictor = tags.get(PREDICTOR, 1)
    known = tags.get(COMPRESSION, _UNCOMPRESSED) in (_UNCOMPRESSED, *_DEFLATE)
    whole = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] in (UNSIGNED, SIGNED)
    return known and (predictor == 1 or (predictor == _DIFFERENCES and whole))


def decode(data: bytes, tags: Tags) -> Shaped[np.ndarray, "H W samples"]:
    """The samples of an uncompressed or deflated TIFF, as stored, in the machine's byte order.

    Raises:
        ValueError: a strip or tile is damaged, or shorter than its place.
    """
    height, width, samples = int(tags[HEIGHT]), int(tags[WIDTH]), int(tags.get(SAMPLES, 1))
    letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0]]
    stored = np.dtype(f"{_order(data)}{letter}{tags[BITS][0] // 8}")
    planes = samples if tags.get(PLANAR, 1) == _SEPARATE_PLANES else 1
    depth = samples // planes
    if TILE_OFFSETS in tags:
        rows, columns = int(tags[TILE_HEIGHT]), int(tags[TILE_WIDTH])
    else:
        rows, columns = min(int(tags.get(ROWS_PER_STRIP, height)), height), width
    if min(rows, columns) < 1:
        raise ValueError("strips or tiles without pixels")
    across, down = math.ceil(width / columns), math.ceil(height / rows)
    chunks = _chunks(tags)
    if len(chunks) != planes * down * across:
        raise ValueError(f"{len(chunks)} strips or tiles instead of {planes * down * across}")
    pixels = np.empty((height, width, samples), stored.newbyteorder("="))
    for number, (at, count) in enumerate(chunks):
        plane, place = divmod(number, down * across)
        top, left = place // across * rows, place % across * columns
        # A last strip ends with the picture, a last tile is padded.
        tall = rows if TILE_OFFSETS in tags else min(rows, height - top)
        content = data[at : at + count]
        if tags.get(COMPRESSION, _UNCOMPRESSED) in _DEFLATE:
            content = _inflate(content, rows * columns * depth * stored.itemsize)
        chunk = np.frombuffer(content, stored, tall * columns * depth).astype(pixels.dtype)
        chunk = chunk.reshape(tall, columns, depth)
        if tags.get(PREDICTOR, 1) == _DIFFERENCES:
            chunk = np.cumsum(chunk, axis=1, dtype=chunk.dtype)
        target = pixels[top : top + tall, left : left + columns, plane : plane + depth]
        target[:] = chunk[: target.shape[0], : target.shape[1]]
    return pixels


def _inflate(content: bytes, most: int) -> bytes:
    """The bytes of a strip or tile: no more than it has pixels for, whatever it would become."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, most)
        more = inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if more or not inflater.eof:
        raise ValueError("a strip or tile that is longer or shorter than its place")
    return inflated


def _chunks(tags: Tags) -> list[tuple[int, int]]:
    """Offset and length of each strip or tile."""
    if TILE_OFFSETS in tags:
        return list(zip(tags[TILE_OFFSETS], tags[TILE_COUNTS], strict=True))
    return list(zip(tags[STRIP_OFFSETS], tags[STRIP_COUNTS], strict=True))


def _first(data: Bytes) -> int:
    """Where the first page's directory starts."""
    big = _big(data)
    return _number(data, _order(data) + ("Q" if big else "I"), 8 if big else 4)


def _number(data: Bytes, layout: str, at: int) -> int:
    if at + struct.calcsize(layout) > len(data):
        raise ValueError("the directory lies outside of the file")
    return int(struct.unpack_from(layout, data, at)[0])


def _big(data: Bytes) -> bool:
    return data[2:4] in (b"+\0", b"\0+")


def _order(data: Bytes) -> str:
    return "<" if data[:2] == b"II" else ">"
