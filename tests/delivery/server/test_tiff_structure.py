"""TIFF files whose few bytes stand for many."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from data.conftest import tiff_bytes
from PIL import Image

from perpixel.delivery.server.tiff_structure import check_structure

MOST = 10_000


def plain() -> bytes:
    grey = np.arange(96, dtype=np.uint8).reshape(12, 8, 1)
    return tiff_bytes(grey, photometric=1, rows=1)


def entries(data: bytes) -> dict[int, int]:
    """Where each tag's entry is."""
    (start,) = struct.unpack_from("<I", data, 4)
    places = range(start + 2, start + 2 + 12 * data[start], 12)
    return {struct.unpack_from("<H", data, at)[0]: at for at in places}


def changed(data: bytes, at: int, content: bytes) -> bytes:
    return data[:at] + content + data[at + len(content) :]


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_ordinary_files_pass(compression: str | None) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(file, "TIFF", compression=compression)
    check_structure(file.getvalue(), MOST)
    check_structure(plain(), MOST)
    file = io.BytesIO()
    Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(
        file, "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))] * 5, big_tiff=True
    )
    check_structure(file.getvalue(), MOST)


def test_strips_that_share_their_bytes_are_refused() -> None:
    data = plain()
    at = entries(data)[279]
    (place,) = struct.unpack_from("<I", data, at + 8)
    lengths = struct.pack("<12I", *[len(data)] * 12)
    with pytest.raises(ValueError, match="strips or tiles lie over each other"):
        check_structure(changed(data, place, lengths), MOST)


def test_tags_that_share_their_bytes_are_refused() -> None:
    data = plain() + bytes(1 << 20)
    for tag in (273, 279, 258, 339):
        at = entries(data)[tag]
        data = changed(data, at, struct.pack("<HHII", tag, 4, 200_000, 8))
    with pytest.raises(ValueError, match="tags lie over each other"):
        check_structure(data, MOST)


@pytest.mark.parametrize("side", [200, 65_000])
def test_a_tile_larger_than_an_image_may_be_is_refused(side: int) -> None:
    data = plain()
    for tag, new in ((277, 322), (284, 323)):
        at = entries(data)[tag]
        data = changed(data, at, struct.pack("<HHII", new, 4, 1, side))
    with pytest.raises(ValueError, match="larger than an image"):
        check_structure(data, MOST)


def test_many_pages_and_many_tags_are_refused() -> None:
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(
        file, "TIFF", save_all=True, append_images=[Image.new("L", (2, 2))] * 80
    )
    with pytest.raises(ValueError, match="too many pages"):
        check_structure(file.getvalue(), MOST)
    data = plain()
    (start,) = struct.unpack_from("<I", data, 4)
    with pytest.raises(ValueError, match="too many pages or tags"):
        check_structure(changed(data, start, struct.pack("<H", 5000)), MOST)


def test_a_circle_of_pages_ends() -> None:
    data = plain()
    (start,) = struct.unpack_from("<I", data, 4)
    after = start + 2 + 12 * data[start]
    check_structure(changed(data, after, struct.pack("<I", start)), MOST)


def test_more_bands_than_there_can_be_are_refused() -> None:
    data = plain()
    at = entries(data)[277]
    with pytest.raises(ValueError, match="more bands"):
        check_structure(changed(data, at, struct.pack("<HHII", 277, 4, 1, 1 << 20)), MOST)
