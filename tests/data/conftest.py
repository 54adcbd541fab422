"""Writers of files that no library at hand writes, and a small dataset."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image


def tiff_bytes(
    pixels: np.ndarray,
    *,
    photometric: int,
    extra: tuple[int, ...] = (),
    orientation: int = 1,
    separate: bool = False,
    deflate: bool = False,
    rows: int | None = None,
    no_data: bytes = b"",
) -> bytes:
    """A little-endian TIFF of (H, W, samples) pixels in strips of some rows."""
    height, width, samples = pixels.shape
    bits, rows = pixels.dtype.itemsize * 8, rows or height
    planes = [pixels[:, :, band] for band in range(samples)] if separate else [pixels]
    strips = [
        plane[top : top + rows].tobytes() for plane in planes for top in range(0, height, rows)
    ]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    offsets = list(np.cumsum([8, *map(len, strips)])[:-1])
    tags = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * samples),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [photometric]),
        273: ("I", offsets),
        274: ("H", [orientation]),
        277: ("H", [samples]),
        278: ("I", [rows]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if separate else 1]),
        339: ("H", [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * samples),
    }
    if extra:
        tags[338] = ("H", list(extra))
    if no_data:
        tags[42113] = ("c", [bytes([byte]) for byte in no_data + b"\0"])
    body = b"".join(strips)
    start = 8 + len(body)
    overflow_at, entries, overflow = start + 6 + 12 * len(tags), b"", b""
    for tag in sorted(tags):
        letter, values = tags[tag]
        raw = struct.pack(f"<{len(values)}{letter}", *values)
        if len(raw) > 4:
            overflow += raw
            raw = struct.pack("<I", overflow_at + len(overflow) - len(raw))
        kind = {"H": 3, "I": 4, "c": 2}[letter]
        entries += struct.pack("<HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", start) + body + directory + overflow


def png_bytes(pixels: np.ndarray, *, colour_type: int, bits: int, late: bytes = b"") -> bytes:
    """A PNG of (H, W, samples) pixels of any bit depth; `late` is an eXIf chunk after them."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = []
    for row in pixels:
        if bits == 16:
            rows.append(row.astype(">u2").tobytes())
        else:
            single = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
            rows.append(np.packbits(single.reshape(-1)).tobytes())
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    exif = chunk(b"eXIf", late) if late else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + exif) + chunk(
        b"IEND", b""
    )


@pytest.fixture
def write_tiff() -> Callable[..., bytes]:
    return tiff_bytes


@pytest.fixture
def write_png() -> Callable[..., bytes]:
    return png_bytes


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def picture(rng: np.random.Generator) -> Image.Image:
    noise = rng.integers(0, 256, (23, 31, 3), np.uint8)
    return Image.fromarray(cv2.GaussianBlur(noise, (7, 7), 2))


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A dataset of split folders: five training and two validation pairs of 21 × 17 pixels."""
    for split, count in (("train", 5), ("val", 2)):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "masks").mkdir()
        for number in range(count):
            image = rng.integers(0, 256, (17, 21, 3), np.uint8)
            mask = rng.integers(0, 3, (17, 21), np.uint8)
            mask[0, :4] = 255
            Image.fromarray(image).save(tmp_path / split / "images" / f"{number}.png")
            Image.fromarray(mask).save(tmp_path / split / "masks" / f"{number}.png")
    (tmp_path / "classes.yaml").write_text("classes: [sky, road, tree]\nignore_index: 255\n")
    return tmp_path
