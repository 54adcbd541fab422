from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from perpixel.data.decode import read_image, read_mask
from perpixel.data.header import read_header
from perpixel.errors import DataError


def _loads(path: Path) -> bool:
    try:
        read_image(path)
    except DataError:
        return False
    return True


FILES = {
    "a.jpg": {},
    "progressive.jpg": {"progressive": True},
    "a.png": {},
    "a.webp": {},
    "lossless.webp": {"lossless": True},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "deflate.tif": {"compression": "tiff_adobe_deflate"},
}


@pytest.mark.parametrize("name", FILES)
def test_truncated_image_never_loads(
    tmp_path: Path, picture: Image.Image, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    picture.save(path, **FILES[name])
    data, whole = path.read_bytes(), read_image(path)
    for length in {*range(0, len(data), 1 + len(data) // 60), *range(len(data) - 12, len(data))}:
        path.write_bytes(data[:length])
        if length >= len(data) - 12 and _loads(path):
            # A few bytes behind the picture may be missing without harm.
            np.testing.assert_array_equal(read_image(path), whole)
            continue
        with pytest.raises(DataError, match=name):
            read_image(path)
        with pytest.raises(DataError, match=name):
            read_header(path)
    assert capfd.readouterr() == ("", "")


def test_jpeg_whose_end_was_never_written_is_refused(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    with pytest.raises(DataError, match="truncated"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("tail", [b"\0\0\0\x18ftypmp42\xff\xda\0\0", b"\xff\xda" * 50, b"\xff"])
def test_what_follows_a_jpeg_s_end_is_no_matter(
    tmp_path: Path, picture: Image.Image, tail: bytes, progressive: bool
) -> None:
    # As the film behind a moving photograph.
    path = tmp_path / "a.jpg"
    picture.save(path, progressive=progressive, restart_marker_blocks=2)
    whole, data = read_image(path), path.read_bytes()
    path.write_bytes(data + tail)
    np.testing.assert_array_equal(read_image(path), whole)


def test_a_thumbnail_s_end_is_not_the_picture_s(tmp_path: Path, picture: Image.Image) -> None:
    path = tmp_path / "a.jpg"
    picture.resize((8, 8)).save(path)
    thumbnail = path.read_bytes()
    picture.save(path, exif=b"Exif\0\0" + thumbnail)
    data = path.read_bytes()
    assert data.count(thumbnail) == 1
    path.write_bytes(data[:-2])
    with pytest.raises(DataError, match="truncated"):
        read_header(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_damaged_png_is_refused_in_silence(
    tmp_path: Path, picture: Image.Image, bits: int, capfd: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.asarray(picture).astype(f"u{bits // 8}"))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.png").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"hello", b"\xff\xd8", b"BM", b"II*\0"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="No such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="Is a directory"):
        read_mask(tmp_path)
