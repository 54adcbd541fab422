from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from perpixel.data.decode import read_image, read_mask, upright
from perpixel.data.header import read_header
from perpixel.errors import DataError

Writer = Callable[..., bytes]


def photo(rng: np.random.Generator, height: int = 23, width: int = 31) -> np.ndarray:
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (7, 7), 2))


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def check(path: Path, expected: np.ndarray) -> None:
    """The image decodes to (H, W, bands) `expected`, and its header says so beforehand."""
    image, header = read_image(path), read_header(path)
    assert image.dtype == expected.dtype == header.dtype
    np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))
    assert (header.bands, *header.size) == image.shape


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_lossless_images_decode_exactly(
    tmp_path: Path, rng: np.random.Generator, suffix: str, mode: str
) -> None:
    image = Image.fromarray(photo(rng)).convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    if suffix == "webp" and mode not in ("RGB", "RGBA"):
        pytest.skip("WebP has colour only")
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    expected = np.asarray(image.convert("L" if mode in ("L", "1") else "RGB"))
    check(saved(tmp_path / f"a.{suffix}", image, **options), expected.reshape(23, 31, -1))


def test_jpeg_decodes_as_opencv_does(tmp_path: Path, rng: np.random.Generator) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(photo(rng)), quality=90)
    check(path, cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (200, 30, 90)).convert("CMYK")
    decoded = read_image(saved(tmp_path / "a.jpg", image, quality=95))
    assert np.abs(decoded.astype(int) - np.array([200, 30, 90])[:, None, None]).max() <= 6


def test_palette_with_transparency_becomes_rgb_without_a_warning(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    image = Image.fromarray(photo(rng)).quantize(9)
    path = saved(tmp_path / "a.png", image, transparency=bytes(range(9)))
    check(path, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_images_keep_all_bits(
    tmp_path: Path, rng: np.random.Generator, suffix: str, bands: int
) -> None:
    pixels = rng.integers(0, 65536, (9, 13, bands), np.uint16)
    stored = pixels[:, :, [2, 1, 0, 3][:bands]] if bands > 1 else pixels
    cv2.imwrite(str(tmp_path / f"a{suffix}"), stored)
    check(tmp_path / f"a{suffix}", pixels[:, :, :3])


def test_16_bit_grey_with_alpha_keeps_its_grey(
    tmp_path: Path, rng: np.random.Generator, write_png: Writer
) -> None:
    pixels = rng.integers(0, 65536, (9, 13, 2), np.uint16)
    (tmp_path / "a.png").write_bytes(write_png(pixels, colour_type=4, bits=16))
    check(tmp_path / "a.png", pixels[:, :, :1])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(
    ("samples", "photometric", "extra"),
    [
        *[(1, 1, ()), (2, 1, (0,)), (2, 1, (2,)), (3, 1, (0, 0)), (3, 2, ())],
        *[(4, 2, (2,)), (4, 2, (0,)), (5, 1, (0,) * 4), (13, 1, (0,) * 12)],
    ],
)
def test_tiff_of_any_bands_decodes_exactly(
    tmp_path: Path,
    rng: np.random.Generator,
    write_tiff: Writer,
    dtype: str,
    separate: bool,
    deflate: bool,
    samples: int,
    photometric: int,
    extra: tuple[int, ...],
) -> None:
    pixels = (rng.random((9, 13, samples)) * 65535).astype(dtype)
    options = {"photometric": photometric, "extra": extra, "separate": separate}
    (tmp_path / "a.tif").write_bytes(write_tiff(pixels, deflate=deflate, rows=4, **options))
    expected = pixels[:, :, :-1] if extra[-1:] == (2,) else pixels
    check(tmp_path / "a.tif", expected.astype("f4") if dtype == "f8" else expected)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressed_16_bit_tiff_decodes_exactly(
    tmp_path: Path, rng: np.random.Generator, compression: int, predictor: int
) -> None:
    pixels = rng.integers(0, 65536, (40, 33, 3), np.uint16)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    cv2.imwrite(str(tmp_path / "a.tif"), pixels[:, :, ::-1], options)
    check(tmp_path / "a.tif", pixels)


def test_tiff_of_numbers_that_no_network_takes_is_refused(
    tmp_path: Path, write_tiff: Writer
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(write_tiff(np.zeros((3, 4, 1), np.int32), photometric=1))
    with pytest.raises(DataError, match=r"a\.tif: a TIFF of 32-bit signed integers"):
        read_image(path)
    path.write_bytes(write_tiff(np.full((3, 4, 1), np.nan, "f4"), photometric=1))
    with pytest.raises(DataError, match="no data: all pixels are NaN"):
        read_image(path)
    path.write_bytes(write_tiff(np.full((3, 4, 1), -np.inf, "f4"), photometric=1))
    with pytest.raises(DataError, match="pixels that are infinite"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied_as_pillow_applies_it(
    tmp_path: Path, rng: np.random.Generator, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # LZW leaves the TIFF to Pillow, which turns it by itself.
    options = {"webp": {"lossless": True}, "tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(photo(rng)), exif=exif, **options)
    with Image.open(path) as image:
        check(path, np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_files_that_pillow_does_not_decode(
    tmp_path: Path,
    rng: np.random.Generator,
    write_tiff: Writer,
    write_png: Writer,
    orientation: int,
) -> None:
    many = rng.integers(0, 65536, (5, 7, 5), np.uint16)
    options = {"photometric": 1, "extra": (0,) * 4, "orientation": orientation}
    (tmp_path / "a.tif").write_bytes(write_tiff(many, **options))
    check(tmp_path / "a.tif", upright(many, orientation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    deep = rng.integers(0, 65536, (5, 7, 3), np.uint16)
    (tmp_path / "a.png").write_bytes(write_png(deep, colour_type=2, bits=16, late=block))
    check(tmp_path / "a.png", upright(deep, orientation))


def test_broken_exif_leaves_the_picture_as_stored(tmp_path: Path, rng: np.random.Generator) -> None:
    picture = Image.fromarray(photo(rng))
    plain = read_image(saved(tmp_path / "a.jpg", picture))
    for block in (
        b"Exif\0\0II*\0\xff\xff\0\0",
        b"Exif\0\0MM\0*",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    ):
        np.testing.assert_array_equal(
            read_image(saved(tmp_path / "b.jpg", picture, exif=block)), plain
        )


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_palette_mask_keeps_its_indices(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    values = rng.integers(0, 12, (9, 13), np.uint8)
    image = Image.fromarray(values).convert("P")
    image.putpalette(rng.integers(0, 256, 768, np.uint8).tolist())
    mask = read_mask(saved(tmp_path / f"a.{suffix}", image))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, values)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_mask_keeps_its_values_at_every_depth(
    tmp_path: Path, rng: np.random.Generator, write_png: Writer, bits: int
) -> None:
    values = rng.integers(0, 2**bits, (9, 13), np.uint16)
    (tmp_path / "a.png").write_bytes(write_png(values[:, :, None], colour_type=0, bits=bits))
    mask = read_mask(tmp_path / "a.png")
    assert mask.dtype == (np.uint16 if bits == 16 else np.uint8)
    np.testing.assert_array_equal(mask, values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_mask_keeps_its_values(
    tmp_path: Path, rng: np.random.Generator, write_tiff: Writer, dtype: type
) -> None:
    values = rng.integers(0, 250, (9, 13)).astype(dtype)
    (tmp_path / "a.tif").write_bytes(write_tiff(values[:, :, None], photometric=1))
    mask = read_mask(tmp_path / "a.tif")
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, values)


def test_mask_that_is_no_map_of_indices_is_refused(
    tmp_path: Path, rng: np.random.Generator, write_tiff: Writer
) -> None:
    colours = Image.fromarray(photo(rng))
    for name, image, found in (
        ("rgb.png", colours, "a picture of 3 bands. .*palette PNG"),
        ("rgba.png", colours.convert("RGBA"), "3 bands and alpha"),
        ("la.png", colours.convert("LA"), "1 bands and alpha"),
        ("a.jpg", colours.convert("L"), "JPEG"),
    ):
        with pytest.raises(DataError, match=found):
            read_mask(saved(tmp_path / name, image))
    (tmp_path / "a.tif").write_bytes(write_tiff(np.zeros((3, 4, 1), "f4"), photometric=1))
    with pytest.raises(DataError, match="float"):
        read_mask(tmp_path / "a.tif")


def test_first_picture_of_an_animation_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    first, second = photo(rng), photo(rng)
    stream = io.BytesIO()
    options = {"save_all": True, "append_images": [Image.fromarray(second)], "lossless": True}
    Image.fromarray(first).save(stream, "WEBP", **options)
    (tmp_path / "a.webp").write_bytes(stream.getvalue())
    check(tmp_path / "a.webp", first)
