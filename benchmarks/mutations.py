"""Images that are cut off, flipped, huge or of a wrong type, each the same in every run."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Mutation = Callable[[bytes, random.Random], bytes]


def seeds() -> dict[str, bytes]:
    """Images of every format that is read, and of some that are not, by name."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize((40, 30))
    wide = rng.integers(0, 65536, (30, 40, 3), np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6
    pages = [smooth.rotate(angle) for angle in (90, 180)]
    ways: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "png": (smooth, "PNG", {}),
        "png palette": (smooth.quantize(16), "PNG", {"transparency": 3}),
        "png alpha": (smooth.convert("LA"), "PNG", {}),
        "png bits": (smooth.convert("1"), "PNG", {}),
        "png 16 grey": (Image.fromarray(wide[:, :, 0]), "PNG", {}),
        "png animated": (smooth, "PNG", {"save_all": True, "append_images": pages}),
        "png turned": (smooth, "PNG", {"exif": turned}),
        "jpeg": (smooth, "JPEG", {}),
        "jpeg grey": (smooth.convert("L"), "JPEG", {}),
        "jpeg cmyk": (smooth.convert("CMYK"), "JPEG", {}),
        "jpeg progressive": (smooth, "JPEG", {"progressive": True}),
        "jpeg turned": (smooth, "JPEG", {"exif": turned}),
        "tiff": (smooth, "TIFF", {}),
        "tiff deflate": (smooth, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff lzw": (smooth, "TIFF", {"compression": "tiff_lzw"}),
        "tiff jpeg": (smooth, "TIFF", {"compression": "jpeg"}),
        "tiff cmyk": (smooth.convert("CMYK"), "TIFF", {}),
        "tiff palette": (smooth.quantize(16), "TIFF", {}),
        "tiff float": (Image.fromarray(wide[:, :, 0].astype(np.float32)), "TIFF", {}),
        "tiff 16": (Image.fromarray(wide[:, :, 0]), "TIFF", {"compression": "tiff_lzw"}),
        "tiff pages": (smooth.convert("L"), "TIFF", {"save_all": True, "append_images": []}),
        "webp": (smooth, "WEBP", {}),
        "webp lossless": (smooth, "WEBP", {"lossless": True}),
        "webp animated": (smooth, "WEBP", {"save_all": True, "append_images": pages}),
        "bmp": (smooth, "BMP", {}),
        "bmp palette": (smooth.quantize(16), "BMP", {}),
        "gif animated": (smooth, "GIF", {"save_all": True, "append_images": pages}),
        "icon": (smooth, "ICO", {}),
        "ppm": (smooth, "PPM", {}),
    }
    found = {}
    for name, (image, kind, options) in ways.items():
        file = io.BytesIO()
        image.save(file, kind, **options)
        found[name] = file.getvalue()
    import cv2

    for name, array in {"png 16": wide, "tiff 16 colour": wide}.items():
        done, encoded = cv2.imencode("." + name.split()[0], array)
        assert done
        found[name] = encoded.tobytes()
    arrays = {"npy": wide[:, :, :3].astype(np.uint8), "npy float": rng.random((30, 40, 3))}
    for name, array in {**arrays, "npy integers": wide.astype(np.int64)}.items():
        file = io.BytesIO()
        np.save(file, array)
        found[name] = file.getvalue()
    return found


def as_it_is(data: bytes, chance: random.Random) -> bytes:
    """Nothing is changed."""
    return data


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end is missing."""
    return data[: chance.randrange(len(data))]


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Some bits are others, anywhere."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 64))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def header_flipped(data: bytes, chance: random.Random) -> bytes:
    """Some of the first bytes are others."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 4))):
        changed[chance.randrange(min(len(changed), 96))] = chance.choice((0, 1, 127, 128, 255))
    return _checksums(bytes(changed))


def huge(data: bytes, chance: random.Random) -> bytes:
    """The header claims a picture of very many pixels."""
    side = chance.choice((20_000, 65_500, 1 << 20, (1 << 31) - 1))
    short = min(side, 65_535)
    changed = bytearray(data)
    if data.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">II", side, side)
    elif data.startswith(b"BM"):
        changed[18:26] = struct.pack("<ii", side, side)
    elif data.startswith(b"\xff\xd8"):
        at = next((at for at in (data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) if at > 0), 0)
        changed[at + 5 : at + 9] = struct.pack(">HH", short, short)
    elif data.startswith(b"RIFF") and data[12:16] == b"VP8X":
        changed[24:30] = (side - 1 & 0xFFFFFF).to_bytes(3, "little") * 2
    elif data.startswith(b"RIFF"):
        changed[26:30] = struct.pack("<HH", 16_383, 16_383)
    elif data.startswith(b"\x93NUMPY"):
        begin = data.index(b"(")
        shape = f"({side}, {side}, 3)".encode()
        changed[begin : begin + len(shape)] = shape
    elif data[:2] == b"II":
        (start,) = struct.unpack_from("<I", data, 4)
        for at in range(start + 2, min(start + 2 + 12 * data[start], len(data) - 12), 12):
            tags = chance.choice(((256, 257), (278, 322, 323)))
            if struct.unpack_from("<H", data, at)[0] in tags:
                changed[at + 2 : at + 12] = struct.pack("<HII", 4, 1, side)
    return _checksums(bytes(changed))


def wrong_type(data: bytes, chance: random.Random) -> bytes:
    """No image at all, perhaps behind the first bytes of one."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    others = (
        *(b"", b"\0" * 100, chance.randbytes(300), archive.getvalue(), b"%PDF-1.7\n"),
        *(b"http://127.0.0.1/a.png", b"file:///etc/passwd", b'{"image": "a"}', b"<svg/>"),
        b"<!DOCTYPE html><script>alert(1)</script>",
    )
    return data[: chance.choice((0, 0, 2, 4, 8, 12, 30))] + chance.choice(others)


def polyglot(data: bytes, chance: random.Random) -> bytes:
    """An image that is something else too."""
    archive = wrong_type(b"", chance)
    match chance.randrange(4):
        case 0:
            return data + archive
        case 1:
            return archive + data
        case 2:
            return b"GIF89a" + data
        case _:
            middle = chance.randrange(len(data))
            return data[:middle] + archive + data[middle:]


def spliced(data: bytes, chance: random.Random) -> bytes:
    """A part of it is elsewhere, or there twice."""
    begin, end = sorted(chance.randrange(len(data)) for _ in range(2))
    at = chance.randrange(len(data))
    return _checksums(data[:at] + data[begin:end] + data[at if chance.random() < 0.5 else end :])


MUTATIONS: dict[str, tuple[Mutation, int]] = {
    "as it is": (as_it_is, 1),
    "cut": (cut, 3),
    "flipped": (flipped, 4),
    "header": (header_flipped, 4),
    "huge": (huge, 2),
    "wrong type": (wrong_type, 1),
    "polyglot": (polyglot, 1),
    "spliced": (spliced, 2),
}


def mutated(number: int, originals: dict[str, bytes]) -> tuple[str, bytes]:
    """The image of that number, and what it is; the same in every run."""
    chance = random.Random(number)
    seed = chance.choice(sorted(originals))
    weights = [weight for _, weight in MUTATIONS.values()]
    (way,) = chance.choices(list(MUTATIONS), weights)
    return f"{number}: {seed}, {way}", MUTATIONS[way][0](originals[seed], chance)


def _checksums(data: bytes) -> bytes:
    """With the checksums of a PNG's chunks mended, so that decoders look at what is in them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    changed, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        changed[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(changed)
