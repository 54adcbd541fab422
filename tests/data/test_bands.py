"""Images of any number of bands: NumPy files, TIFF pages, signed numbers, missing data."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from perpixel.data import npy
from perpixel.data.decode import read_image, read_mask
from perpixel.data.header import parse_header, read_header
from perpixel.errors import DataError

Writer = Callable[..., bytes]


def check(path: Path, expected: np.ndarray) -> None:
    """The image decodes to (bands, H, W) `expected`, and its header says so beforehand."""
    image, header = read_image(path), read_header(path)
    assert image.dtype == header.dtype == expected.dtype
    assert (header.bands, *header.size) == image.shape
    np.testing.assert_array_equal(image, expected)


def bytes_of(array: np.ndarray) -> bytes:
    """A NumPy file's bytes, as `np.save` writes them."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("dtype", "image_type"),
    [
        *[("u1", "u1"), ("u2", "u2"), (">u2", "u2"), ("?", "u1"), ("i2", "f4"), ("i8", "f4")],
        *[("f2", "f4"), ("f4", "f4"), (">f8", "f4")],
    ],
)
def test_numpy_files_of_every_type(
    tmp_path: Path, rng: np.random.Generator, dtype: str, image_type: str
) -> None:
    pixels = (rng.random((4, 9, 13)) * 200).astype(dtype)
    np.save(tmp_path / "a.npy", pixels)
    check(tmp_path / "a.npy", pixels.astype(image_type))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_bands_are_the_shorter_of_the_outer_axes(
    tmp_path: Path, rng: np.random.Generator, order: str
) -> None:
    pixels = rng.integers(0, 256, (5, 8, 11), np.uint8)
    for stored, expected in (
        (pixels, pixels),
        (pixels.transpose(1, 2, 0), pixels),
        (pixels[0], pixels[:1]),
        (pixels[:, :, :5], pixels[:, :, :5]),
    ):
        np.save(tmp_path / "a.npy", np.asarray(stored, order=order))
        check(tmp_path / "a.npy", np.ascontiguousarray(expected))


def test_numpy_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (np.zeros(5), np.zeros((2, 2), complex), np.zeros((0, 3)), np.zeros((1,) * 4)):
        np.save(path, array)
        with pytest.raises(DataError, match=r"a\.npy"):
            read_image(path)
    np.save(path, np.array([[None]]), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_image(path)


def test_a_truncated_numpy_file_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    data = bytes_of(rng.integers(0, 9, (3, 7, 8), np.uint16))
    path = tmp_path / "a.npy"
    for length in range(6, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"a\.npy"):
            read_image(path)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 199), st.integers(0, 255))
@example(65, 0)
def test_a_damaged_numpy_header_is_an_error_of_ours_or_still_a_picture(at: int, byte: int) -> None:
    data = bytearray(bytes_of(np.arange(48, dtype=np.uint8).reshape(6, 8)))
    data[at % len(data)] = byte
    try:
        header = parse_header(bytes(data), Path("a.npy"))
    except DataError:
        return
    assert header.bands >= 1


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "?"])
def test_numpy_masks_hold_labels(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    labels = rng.integers(0, 2 if dtype == "?" else 200, (6, 7)).astype(dtype)
    np.save(tmp_path / "a.npy", labels)
    mask = read_mask(tmp_path / "a.npy")
    assert mask.dtype == (np.uint16 if dtype == "u2" else np.uint8)
    np.testing.assert_array_equal(mask, labels)


def test_large_labels_and_what_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([[0, 65_535]]))
    assert read_mask(path).dtype == np.uint16
    for array, found in (
        (np.array([[-1, 3]]), "values from -1 to 3"),
        (np.array([[0, 70_000]]), "values from 0 to 70000"),
        (np.zeros((2, 3)), "float pixels"),
        (np.zeros((2, 5, 6), np.uint8), "an array of 2 bands"),
    ):
        np.save(path, array)
        with pytest.raises(DataError, match=found):
            read_mask(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_pages_of_one_band_are_the_bands(
    tmp_path: Path, rng: np.random.Generator, dtype: str, compression: str | None
) -> None:
    bands = (rng.random((4, 9, 13)) * 250).astype(dtype)
    first, *others = [Image.fromarray(band) for band in bands]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others, compression=compression)
    check(tmp_path / "a.tif", bands)


def test_of_other_pages_the_first_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    colours = rng.integers(0, 256, (2, 9, 13, 3), np.uint8)
    pages = [Image.fromarray(page) for page in colours]
    pages[0].save(tmp_path / "colours.tif", save_all=True, append_images=pages[1:])
    check(tmp_path / "colours.tif", colours[0].transpose(2, 0, 1))
    grey = [Image.fromarray(colours[0, :, :, 0]), Image.fromarray(colours[1, :5, :, 0])]
    grey[0].save(tmp_path / "sizes.tif", save_all=True, append_images=grey[1:])
    check(tmp_path / "sizes.tif", colours[0, None, :, :, 0])


def test_a_smaller_copy_behind_the_bands_is_no_band(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 256, (3, 9, 13), np.uint8)
    small = Image.fromarray(pixels[2, ::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    second = Image.fromarray(pixels[1])
    Image.fromarray(pixels[0]).save(
        tmp_path / "a.tif", save_all=True, append_images=[second, small]
    )
    check(tmp_path / "a.tif", pixels[:2])


def test_a_file_that_ends_within_its_last_page_is_truncated(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pages = [Image.fromarray(page) for page in rng.integers(0, 256, (3, 19, 23), np.uint8)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    data = (tmp_path / "a.tif").read_bytes()
    for length in (len(data) - 300, len(data) * 2 // 3, len(data) // 2):
        (tmp_path / "a.tif").write_bytes(data[:length])
        with pytest.raises(DataError, match="truncated"):
            read_header(tmp_path / "a.tif")


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "i2"])
def test_signed_numbers_become_floats(
    tmp_path: Path, rng: np.random.Generator, write_tiff: Writer, dtype: str, deflate: bool
) -> None:
    pixels = rng.integers(-100, 100, (9, 13, 6)).astype(dtype)
    (tmp_path / "a.tif").write_bytes(write_tiff(pixels, photometric=1, deflate=deflate))
    check(tmp_path / "a.tif", pixels.transpose(2, 0, 1).astype(np.float32))


def test_what_was_not_measured_is_nan_in_floats_and_named_for_integers(
    tmp_path: Path, rng: np.random.Generator, write_tiff: Writer
) -> None:
    floats = rng.random((5, 6)).astype(np.float32)
    floats[1, 2] = -9999
    floats[3, 3] = np.nan
    Image.fromarray(floats).save(tmp_path / "f.tif", tiffinfo={42113: "-9999"})
    image = read_image(tmp_path / "f.tif")[0]
    assert np.isnan(image[[1, 3], [2, 3]]).all()
    assert np.isnan(image).sum() == 2
    lowest = np.array([[0.5, np.finfo(np.float64).min]])[:, :, None]
    data = write_tiff(lowest, photometric=1, no_data=b"-1.7976931348623157e+308")
    (tmp_path / "d.tif").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "d.tif"), [[[0.5, np.nan]]])
    bytes_ = rng.integers(0, 256, (5, 6), np.uint8)
    Image.fromarray(bytes_).save(tmp_path / "b.tif", tiffinfo={42113: "0"})
    check(tmp_path / "b.tif", bytes_[None])
    assert read_header(tmp_path / "b.tif").no_data == 0
    assert bytes_of(bytes_)[:6] == npy.MAGIC
