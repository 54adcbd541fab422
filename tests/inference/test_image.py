"""Images as users hand them in: a file, a Pillow image and an array of it are the same image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from perpixel.data.decode import read_image
from perpixel.errors import DataError
from perpixel.inference.image import decoded


def example(mode: str) -> Image.Image:
    rng = np.random.default_rng(3)
    rgb = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65_536, (9, 13), np.uint16))
    if mode == "F":
        return Image.fromarray(rng.random((9, 13), np.float32))
    if mode in ("RGBA", "LA"):
        picture = rgb.convert(mode)
        picture.putalpha(Image.fromarray(rng.integers(0, 256, (9, 13), np.uint8)))
        return picture
    return rgb.convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "png"),
        ("L", "png"),
        ("1", "png"),
        ("P", "png"),
        ("LA", "png"),
        ("RGBA", "png"),
        ("I;16", "png"),
        ("F", "tif"),
        ("CMYK", "tif"),
        ("RGB", "jpg"),
    ],
)
def test_a_pillow_image_is_decoded_as_its_file_is(tmp_path, mode, suffix):
    path = tmp_path / f"image.{suffix}"
    example(mode).save(path)
    from_file = read_image(path)
    with Image.open(path) as opened:
        from_pillow, name = decoded(opened)
    np.testing.assert_array_equal(from_pillow, from_file)
    assert from_pillow.dtype == from_file.dtype
    assert name == str(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_pillow_images_as_to_files(tmp_path, orientation):
    path = tmp_path / "image.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    example("RGB").save(path, exif=exif)
    with Image.open(path) as opened:
        from_pillow, _ = decoded(opened)
    np.testing.assert_array_equal(from_pillow, read_image(path))


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_as_a_pillow_image_is_turned_once(tmp_path, orientation, loaded):
    path = tmp_path / "image.tif"
    example("RGB").save(path, tiffinfo={0x0112: orientation})
    with Image.open(path) as opened:
        if loaded:
            opened.load()
        from_pillow, _ = decoded(opened)
    np.testing.assert_array_equal(from_pillow, read_image(path))


def test_a_palette_with_transparency_is_converted_in_silence(tmp_path):
    path = tmp_path / "image.png"
    example("P").save(path, transparency=bytes(range(256)))
    with Image.open(path) as opened:
        from_pillow, _ = decoded(opened)
        assert "transparency" in opened.info
    np.testing.assert_array_equal(from_pillow, read_image(path))


def test_a_path_is_taken_as_text_too(tmp_path):
    example("RGB").save(tmp_path / "image.png")
    from_text, name = decoded(str(tmp_path / "image.png"))
    np.testing.assert_array_equal(from_text, decoded(tmp_path / "image.png")[0])
    assert name == str(tmp_path / "image.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 6)])
def test_arrays_come_as_rows_columns_bands(dtype, shape):
    array = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    image, _ = decoded(array)
    assert image.shape == (shape[2] if len(shape) == 3 else 1, 4, 5)
    assert image.dtype == (dtype if dtype in (np.uint8, np.uint16) else np.float32)
    expected = array.astype(image.dtype)
    np.testing.assert_array_equal(image.transpose(1, 2, 0).reshape(shape), expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r"shape \(2, 3, 4, 5\)"),
        (np.zeros(7, np.uint8), r"shape \(7,\)"),
        (np.zeros((0, 3), np.uint8), r"shape \(0, 3\)"),
        (np.zeros((2, 2), np.int64), "an array of int64"),
        (np.zeros((2, 2), bool), "an array of bool"),
        (np.full((2, 2), np.nan), "all pixels are NaN"),
        (np.full((2, 2), np.inf), "pixels that are infinite"),
        (np.full((2, 2), 1e300), "pixels that are infinite"),
    ],
)
def test_an_array_that_is_no_image_is_refused_with_its_shape_or_type(array, message):
    with pytest.raises(DataError, match=message):
        decoded(array)


def test_a_wide_integer_pillow_image_is_taken_if_16_bits_hold_it():
    fits = Image.fromarray(np.array([[0, 65_535]], np.int32))
    assert decoded(fits)[0].tolist() == [[[0, 65_535]]]
    with pytest.raises(DataError, match="mode I"):
        decoded(Image.fromarray(np.array([[0, 65_536]], np.int32)))
