"""What is refused before it is decoded, and how."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from data.conftest import png_bytes, tiff_bytes
from PIL import Image

from delivery.server.conftest import Serving, picture, png
from perpixel.data import decode
from perpixel.delivery.server import checked
from perpixel.delivery.server.checked import check_image
from perpixel.delivery.server.problems import ProblemError
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model
from perpixel.preprocessing import Preprocessing

LIMITS = Settings(max_pixels=10_000)


def problem_of(data: bytes, settings: Settings = LIMITS) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        check_image(data, settings, Preprocessing()).decode()
    assert "/" not in raised.value.message
    return raised.value


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tagged(data: bytes, tag: int, value: int, *, count: int = 1) -> bytes:
    """A little-endian TIFF, one of whose tags has another value."""
    (start,) = struct.unpack_from("<I", data, 4)
    changed = bytearray(data)
    for at in range(start + 2, start + 2 + 12 * data[start], 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            changed[at + 2 : at + 12] = struct.pack("<HII", 4, count, value)
    assert changed != data
    return bytes(changed)


HUGE = Image.new("L", (200, 200))
BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved(HUGE, "PNG"),
    "jpeg": lambda: saved(HUGE, "JPEG"),
    "bmp": lambda: saved(HUGE, "BMP"),
    "tiff": lambda: saved(HUGE, "TIFF"),
    "webp": lambda: saved(HUGE, "WEBP"),
    "webp, extended": lambda: saved(
        HUGE, "WEBP", save_all=True, append_images=[Image.new("L", (200, 200), 255)]
    ),
    "npy": lambda: npy(np.zeros((200, 200), np.uint8)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_too_many_pixels_are_refused_from_the_header(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = BOMBS[kind]()

    def never(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(checked, "decode_image", never)
    problem = problem_of(data)
    assert (problem.status, problem.code) == (413, "too_many_pixels")
    assert "200×200" in problem.message
    if kind == "webp, extended":
        # Its decoder would make room for the canvas when the header is read.
        monkeypatch.setattr(checked, "parse_header", never)
        assert problem_of(data).status == 413


def test_a_small_file_of_a_huge_picture_is_refused(serving: Serving, model: Model) -> None:
    side = 60_000
    content = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", content), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one)) + name + one + struct.pack(">I", zlib.crc32(name + one))
        for name, one in chunks
    )
    with serving(model) as client:
        refused = client.post("/v1/segment", content=data)
    assert (refused.status_code, refused.json()["code"]) == (413, "too_many_pixels")


def test_too_many_bytes_are_refused_however_they_come(serving: Serving, model: Model) -> None:
    file = png(picture(20, 20))
    with serving(model, max_bytes=len(file)) as client:
        assert client.post("/v1/segment", content=file).status_code == 200
        assert client.post("/v1/segment", files={"image": file}).status_code == 200
        longer = [
            client.post("/v1/segment", content=file + b"x"),
            client.post("/v1/segment", content=iter([file, b"x"])),
            client.post("/v1/segment", files={"image": file + b"x"}),
            client.post("/v1/segment", files={"image": file, "more": bytes(1 << 20)}),
            client.post("/v1/segment", content=bytes(1 << 24)),
        ]
        assert client.post("/v1/segment", content=file).status_code == 200
    for refused in longer:
        assert (refused.status_code, refused.json()["code"]) == (413, "too_many_bytes")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        saved(Image.new("L", (5, 5)), "GIF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"http://127.0.0.1/a.png",
    ],
)
def test_the_format_is_told_by_the_content(data: bytes) -> None:
    problem = problem_of(data)
    assert (problem.status, problem.code) == (415, "no_image_format")


def damaged() -> dict[str, bytes]:
    whole = png(picture(9, 9))
    grey = np.arange(81, dtype=np.uint8).reshape(9, 9, 1)
    tiff = tiff_bytes(grey, photometric=1, deflate=True)
    plain = tiff_bytes(grey, photometric=1, rows=1)
    bomb = zlib.compress(bytes(1 << 20))
    (offset,) = struct.unpack_from("<I", tiff, 4)
    strip = tiff[8:offset]
    return {
        "cut": whole[:-20],
        "flipped": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        "npy without sense": b"\x93NUMPY\x01\0\x10\0" + b"(" * 16,
        "npy with a long header": b"\x93NUMPY\x02\0" + struct.pack("<I", 20_000) + b" " * 30_000,
        "jpeg of many scans": saved(Image.new("L", (9, 9)), "JPEG")[:-2]
        + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 200
        + b"\xff\xd9",
        "tiff: a strip that becomes more than its place": tagged(
            tiff[:8] + tiff[8:] + bomb, 273, len(tiff)
        ).replace(
            struct.pack("<HHII", 279, 4, 1, len(strip)), struct.pack("<HHII", 279, 4, 1, len(bomb))
        ),
        "tiff: a tag of very many numbers": tagged(plain, 273, 8, count=1 << 30),
        "tiff: pages in a circle": plain,
    }


@pytest.mark.parametrize("name", [name for name in damaged() if name != "tiff: pages in a circle"])
def test_damage_is_said_without_a_path(name: str) -> None:
    problem = problem_of(damaged()[name])
    assert (problem.status, problem.code) == (400, "damaged_image")
    assert problem.message


@pytest.mark.parametrize(
    ("name", "bands"), [("two bands", 2), ("four bands", 4), ("many bands", 400)]
)
def test_bands_that_the_model_does_not_take_are_refused_before_they_are_decoded(
    name: str, bands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "decode_image", lambda *arguments: pytest.fail("decoded"))
    problem = problem_of(npy(np.zeros((9, 9, bands), np.uint8)))
    assert (problem.status, problem.code) == (422, "other_bands")


def test_sixteen_bits_cmyk_animations_and_palettes_are_images() -> None:
    noise = picture(9, 9)
    wide = (noise.astype(np.uint16) << 8) + 7
    frames = Image.fromarray(noise)
    for data in (
        png_bytes(wide, colour_type=2, bits=16),
        saved(frames.convert("CMYK"), "JPEG"),
        saved(frames.convert("CMYK"), "TIFF"),
        saved(frames, "WEBP", save_all=True, append_images=[frames.rotate(90)]),
        saved(frames, "PNG", save_all=True, append_images=[frames.rotate(90)]),
        saved(frames.quantize(8), "PNG", transparency=1),
    ):
        assert check_image(data, LIMITS, Preprocessing()).decode().shape == (3, 9, 9)


def test_what_a_decoder_did_not_foresee_is_the_clients_damage_and_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise AssertionError("/home/somebody")

    monkeypatch.setattr(decode, "_usual", broken)
    problem = problem_of(png(picture(9, 9)))
    assert problem.status == 400
    assert "somebody" not in problem.message
    assert "could not be decoded" in caplog.text
    monkeypatch.setattr(checked, "parse_header", broken)
    assert problem_of(png(picture(9, 9))).status == 400
