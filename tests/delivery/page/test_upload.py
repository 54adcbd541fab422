"""What the page takes, and how it says what it does not take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.delivery.page.upload import file_name, read_upload
from perpixel.errors import DataError, ModelError
from perpixel.inference.image import decoded
from perpixel.preprocessing import Preprocessing

PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
TURNED = 6


def written(file: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(file, **options)
    return file


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_pixels_are_those_that_the_command_decodes(suffix: str, tmp_path: Path) -> None:
    file = written(tmp_path / f"a.{suffix}", Image.fromarray(PIXELS))
    found = read_upload(file, "a", Preprocessing(), 10_000)
    assert np.array_equal(found.transpose(2, 0, 1), decoded(file)[0])


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED
    file = written(tmp_path / "a.jpg", Image.fromarray(PIXELS), exif=exif)
    found = read_upload(file, "a", Preprocessing(), 10_000)
    assert found.shape == (53, 37, 3)
    assert np.array_equal(found.transpose(2, 0, 1), decoded(file)[0])


def test_a_grey_image_has_three_equal_bands(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", Image.fromarray(PIXELS[..., 0]))
    found = read_upload(file, "a", Preprocessing(conversion="grey-rgb"), 10_000)
    assert np.array_equal(found, PIXELS[..., [0, 0, 0]])


def test_a_model_without_conversion_takes_no_grey_image(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", Image.fromarray(PIXELS[..., 0]))
    with pytest.raises(ModelError, match=r"^grey.png: 1 bands; expected 3"):
        read_upload(file, "grey.png", Preprocessing(conversion="none"), 10_000)


def test_a_model_of_one_band_gets_one(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", Image.fromarray(PIXELS[..., 0]))
    grey = Preprocessing(bands=1, mean=(0.5,), std=(0.5,), conversion="none")
    found = read_upload(file, "a", grey, 10_000)
    assert np.array_equal(found, PIXELS[..., :1])
    assert grey.fit_bands(found.transpose(2, 0, 1)).shape == (1, 37, 53)


def test_a_jpeg_of_very_many_scans_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpixel.delivery.page.upload.read_image", None)
    file = written(tmp_path / "a.jpg", Image.fromarray(PIXELS))
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    file.write_bytes(file.read_bytes()[:-2] + scan * 200 + b"\xff\xd9")
    with pytest.raises(DataError, match=r"^a.jpg: a JPEG of more than 128 scans"):
        read_upload(file, "a.jpg", Preprocessing(), 10_000)


def test_as_many_pixels_as_are_allowed_and_not_one_more(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", Image.fromarray(PIXELS))
    assert read_upload(file, "a", Preprocessing(), 37 * 53).shape == (37, 53, 3)
    with pytest.raises(DataError, match=r"^big.png: an image of 53 × 37 pixels; expected at most"):
        read_upload(file, "big.png", Preprocessing(), 37 * 53 - 1)


def test_a_picture_that_is_too_large_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(path: Path) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("perpixel.delivery.page.upload.read_image", decode)
    # Ten thousand times ten thousand pixels, in a file of a few kilobytes.
    file = written(tmp_path / "a.png", Image.new("1", (10_000, 10_000)))
    with pytest.raises(DataError, match="10000 × 10000 pixels"):
        read_upload(file, "a.png", Preprocessing(), 16_000_000)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no image"),
        (b"<script>alert(1)</script>", "no image"),
        (b"II*\0" + bytes(40), "a TIFF file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "PNG"),
    ],
)
def test_what_is_no_image_is_called_by_its_owners_name(
    content: bytes, found: str, tmp_path: Path
) -> None:
    file = tmp_path / "0123abcd.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=found) as caught:
        read_upload(file, "mine.png", Preprocessing(), 10_000)
    assert str(caught.value).startswith("mine.png: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_ends_too_soon_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.png", Image.fromarray(PIXELS)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"^half.png: .*truncated") as caught:
        read_upload(tmp_path / "half.png", "half.png", Preprocessing(), 10_000)
    assert str(tmp_path) not in str(caught.value)


def test_more_than_8_bits_are_left_to_the_command(tmp_path: Path) -> None:
    file = written(tmp_path / "a.png", Image.fromarray(PIXELS[..., 0].astype(np.uint16)))
    with pytest.raises(DataError, match=r"1 bands of 16 bits.*perpixel predict"):
        read_upload(file, "a", Preprocessing(), 10_000)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("street.jpg", "street.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photographs\\a.png", "a.png"),
        ("x" * 300 + ".jpeg", "x" * 75 + ".jpeg"),
        ("", "image"),
        (None, "image"),
        ("..", "image"),
        ("a\0b\n.png", "ab.png"),
        ("é" * 200, "é" * 40),
    ],
)
def test_a_name_has_no_folders_and_is_short(given: str | None, name: str) -> None:
    assert file_name(given) == name
