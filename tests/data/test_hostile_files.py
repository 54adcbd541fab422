"""Files that ask for more than they hold."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.decode import decode_image, read_image
from perpixel.data.header import format_of, parse_header, read_header
from perpixel.errors import DataError

Writer = Callable[..., bytes]


def entry(data: bytes, tag: int) -> int:
    """Where a tag's entry is in a little-endian TIFF."""
    (start,) = struct.unpack_from("<I", data, 4)
    places = range(start + 2, start + 2 + 12 * data[start], 12)
    return next(at for at in places if struct.unpack_from("<H", data, at)[0] == tag)


@pytest.mark.parametrize("content", [bytes(50_000_000), bytes(90), b"", bytes(89)])
def test_a_strip_of_more_or_less_than_its_place_is_damage_and_takes_no_memory(
    tmp_path: Path, write_tiff: Writer, content: bytes
) -> None:
    grey = np.arange(90, dtype=np.uint8).reshape(9, 10, 1)
    data = write_tiff(grey, photometric=1, deflate=True)
    strip = zlib.compress(content)
    for tag, value in ((273, len(data)), (279, len(strip))):
        at = entry(data, tag)
        data = data[: at + 8] + struct.pack("<I", value) + data[at + 12 :]
    del content
    path = tmp_path / "a.tif"
    path.write_bytes(data + strip)
    if len(zlib.decompress(strip)) == 90:
        assert not read_image(path).any()
        return
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="damaged"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_tag_that_is_there_twice_is_refused(tmp_path: Path, write_tiff: Writer) -> None:
    data = write_tiff(np.zeros((9, 10, 1), np.uint8), photometric=1)
    at = entry(data, 284)
    path = tmp_path / "a.tif"
    path.write_bytes(data[:at] + struct.pack("<HHII", 256, 4, 1, 9999) + data[at + 12 :])
    with pytest.raises(DataError):
        read_header(path)


def test_a_long_header_of_an_array_is_refused(tmp_path: Path) -> None:
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, " + b"1, " * 5000 + b")}"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text + b"\0")
    with pytest.raises(DataError):
        read_header(path)


def test_a_picture_of_another_size_than_its_header_is_damage() -> None:
    file = io.BytesIO()
    Image.new("RGB", (10, 9)).save(file, "PNG")
    header = parse_header(file.getvalue(), Path("a.png"))
    with pytest.raises(DataError, match="different sizes"):
        decode_image(file.getvalue(), replace(header, height=8), Path("a.png"))
    assert decode_image(file.getvalue(), header, Path("a.png")).shape == (3, 9, 10)


def test_formats_are_told_by_the_first_bytes() -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
        file = io.BytesIO()
        Image.new("RGB", (3, 2)).save(file, kind)
        assert format_of(file.getvalue()) == kind
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3)))
    assert format_of(file.getvalue()) == "NPY"
    assert format_of(b"") is format_of(b"GIF89a") is None
