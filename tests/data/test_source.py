"""Sources: windows of an image are the image, whatever holds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from perpixel.data import raster, source
from perpixel.data.decode import read_image
from perpixel.data.source import Source, open_source
from perpixel.errors import ConfigError, DataError, PerpixelError
from tests.data.rasters import UTM, write_raster

H, W = 61, 83


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def assert_windows_are(opened: Source, whole: np.ndarray) -> None:
    assert (opened.bands, *opened.size) == whole.shape
    assert opened.dtype == whole.dtype
    rng = np.random.default_rng(9)
    for _ in range(12):
        top, left = int(rng.integers(0, H)), int(rng.integers(0, W))
        height, width = int(rng.integers(1, H - top + 1)), int(rng.integers(1, W - left + 1))
        window = opened.read(top, left, height, width)
        assert window.pixels.dtype == opened.dtype
        expected = whole[:, top : top + height, left : left + width]
        np.testing.assert_array_equal(window.pixels, expected)
    opened.close()


def test_gdal_keeps_no_more_blocks_than_it_may(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 250, (3, H, W)).astype(np.uint8)
    opened = open_source(write_raster(tmp_path / "a.tif", pixels, **UTM))
    assert isinstance(opened, raster.RasterSource)
    file, bounds = opened._dataset, []

    class Watched:
        def read(self, **options: object) -> np.ndarray:
            bounds.append(rasterio.env.getenv().get("GDAL_CACHEMAX"))
            return np.asarray(file.read(**options))

    opened._dataset = Watched()  # type: ignore[assignment]
    opened.says_what_is_missing = False
    # The thread that reads ahead is not the one that opened it.
    with ThreadPoolExecutor(1) as ahead:
        ahead.submit(opened.read, 0, 0, 5, 5).result()
    opened.read(0, 0, 5, 5)
    assert bounds == [raster.CACHE_BYTES, raster.CACHE_BYTES]
    file.close()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("tiled", [True, False])
def test_windows_of_a_geotiff_are_what_is_decoded_whole(
    tmp_path: Path, rng: np.random.Generator, dtype: str, bands: int, tiled: bool
) -> None:
    pixels = rng.integers(0, 250, (bands, H, W)).astype(dtype)
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 32} if tiled else {}
    path = write_raster(tmp_path / "a.tif", pixels, **UTM, **blocks, compress="deflate")
    opened = open_source(path)
    assert opened.held == 0
    assert opened.place is not None
    assert opened.place.transform == (0.5, 0.0, 5e5, 0.0, -0.5, 5.2e6)
    assert (opened.place.kind, opened.place.metres) == ("projected", 1.0)
    assert_windows_are(opened, np.asarray(read_image(path)))


def test_a_palettes_colours_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    indices = rng.integers(0, 3, (1, H, W)).astype(np.uint8)
    colours = {0: (1, 2, 3, 255), 1: (250, 0, 9, 255), 2: (7, 7, 70, 255)}
    path = write_raster(tmp_path / "a.tif", indices, colours=colours)
    assert_windows_are(open_source(path), np.asarray(read_image(path)))


@pytest.mark.parametrize("shape", [(H, W), (4, H, W), (H, W, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">i4", "float64", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_windows_of_a_numpy_file_are_what_is_decoded_whole(
    tmp_path: Path, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, order: str
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array(rng.integers(0, 250, shape), dtype, order=order))
    opened = open_source(path)
    assert opened.held == 0
    assert_windows_are(opened, np.asarray(read_image(path)))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp"])
def test_an_ordinary_image_is_decoded_once(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = {} if name == "a.bmp" else {"exif": exif}
    turned = (W, H) if name == "a.bmp" else (H, W)
    picture = rng.integers(0, 256, (turned[1], turned[0], 3), np.uint8)
    Image.fromarray(picture).save(path, **kept)
    opened = open_source(path)
    assert opened.held == 3 * H * W
    assert_windows_are(opened, np.asarray(read_image(path)))


@pytest.mark.parametrize("kind", ["turned", "inverted", "few bits", "cmyk", "pages"])
def test_tiffs_that_gdal_reads_otherwise_are_decoded_as_always(
    tmp_path: Path, rng: np.random.Generator, kind: str
) -> None:
    path = tmp_path / "a.tif"
    grey = Image.fromarray(rng.integers(0, 256, (H, W), np.uint8))
    match kind:
        case "turned":
            grey.save(path, tiffinfo={274: 3})
        case "inverted":
            grey.save(path, tiffinfo={262: 0})
        case "few bits":
            grey.convert("1").save(path)
        case "cmyk":
            grey.convert("CMYK").save(path)
        case "pages":
            grey.save(path, save_all=True, append_images=[grey.transpose(0), grey.transpose(1)])
    assert_windows_are(open_source(path), np.asarray(read_image(path)))


def test_pixels_that_no_band_measured_are_missing(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(1, 250, (3, H, W)).astype(np.uint8)
    pixels[:, 10:20, 30:50] = 0
    pixels[1, 40, 40] = 0
    opened = open_source(write_raster(tmp_path / "a.tif", pixels, nodata=0))
    expected = np.ones((H, W), bool)
    expected[10:20, 30:50] = False
    window = opened.read(5, 25, 50, 40)
    assert window.measured is not None
    np.testing.assert_array_equal(window.measured, expected[5:55, 25:65])
    assert opened.read(0, 0, 10, 10).measured is None


def test_missing_floats_are_nan_in_each_band(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.normal(size=(2, H, W)).astype(np.float32)
    pixels[:, 3, 4] = -9999
    pixels[1, 8, 8] = -9999
    pixels[0, 9, 9] = np.nan
    path = write_raster(tmp_path / "a.tif", pixels, nodata=-9999)
    window = open_source(path).read(0, 0, H, W)
    np.testing.assert_array_equal(window.pixels, read_image(path))
    assert window.measured is not None
    assert np.argwhere(~window.measured).tolist() == [[3, 4]]
    np.save(tmp_path / "a.npy", window.pixels)
    mapped = open_source(tmp_path / "a.npy").read(0, 0, H, W)
    assert mapped.measured is not None
    assert np.argwhere(~mapped.measured).tolist() == [[3, 4]]


def test_transparent_pixels_are_missing_and_alpha_is_no_band(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    picture = rng.integers(0, 256, (H, W, 4), np.uint8)
    picture[:, :, 3] = 255
    picture[4:9, 5:7, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.tif")
    opened = open_source(tmp_path / "a.tif")
    window = opened.read(0, 0, H, W)
    assert opened.bands == 3
    np.testing.assert_array_equal(window.pixels, picture.transpose(2, 0, 1)[:3])
    assert window.measured is not None
    np.testing.assert_array_equal(window.measured, picture[:, :, 3] > 0)


def test_files_of_other_names_are_read_if_rasterio_opens_them(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 256, (2, H, W)).astype(np.uint8)
    path = write_raster(tmp_path / "a.img", pixels, driver="HFA", **UTM)
    opened = open_source(path)
    assert opened.place is not None
    assert opened.place.kind == "projected"
    np.testing.assert_array_equal(opened.read(1, 2, 30, 40).pixels, pixels[:, 1:31, 2:42])


def refusal(path: Path, most_bytes: int | None = None) -> str:
    def read() -> None:
        opened = open_source(path, most_bytes)
        opened.read(0, 0, *opened.size)

    with pytest.raises(PerpixelError) as caught:
        read()
    # What more memory would mend is no fault of the data's.
    assert isinstance(caught.value, DataError if most_bytes is None else ConfigError)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kept", [0, 7, 100, 3000, 4500])
def test_a_truncated_geotiff_is_refused(
    tmp_path: Path, rng: np.random.Generator, kept: int
) -> None:
    pixels = rng.integers(0, 256, (3, H, W)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", pixels, tiled=True, blockxsize=16, blockysize=16)
    path.write_bytes(path.read_bytes()[:kept])
    assert "again" in refusal(path)


def test_a_geotiff_with_damaged_blocks_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (1, H, W)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", pixels, compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)
    assert "cannot be read" in refusal(path)


def test_wrong_files_are_refused_with_their_mend(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.tif")
    assert "not a file" in refusal(tmp_path)
    (tmp_path / "a.jp2").write_bytes(b"text")
    assert "GDAL" in refusal(tmp_path / "a.jp2")
    (tmp_path / "a.npy").write_bytes(b"text")
    assert "numpy.save" in refusal(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros((H, W), complex))
    assert "numpy.save" in refusal(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.zeros((H, W), np.uint8))
    (tmp_path / "c.npy").write_bytes((tmp_path / "c.npy").read_bytes()[:-1])
    assert "truncated" in refusal(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", np.full((H, W), np.inf))
    assert "infinite" in refusal(tmp_path / "d.npy")
    write_raster(tmp_path / "e.tif", np.zeros((1, H, W), complex))
    assert "gdal_translate" in refusal(tmp_path / "e.tif")


def test_an_image_too_large_to_be_decoded_is_refused_before_it_is(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(tmp_path / "a.png")
    assert "COG" in refusal(tmp_path / "a.png", 3 * H * W - 1)
    assert open_source(tmp_path / "a.png", 3 * H * W).size == (H, W)


def test_without_rasterio_a_tiff_is_decoded_and_others_name_what_to_install(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (raster, source):
        monkeypatch.setattr(module, "has_rasterio", lambda: False)
    pixels = rng.integers(0, 256, (3, H, W)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", pixels)
    assert_windows_are(open_source(path), pixels)
    assert "pip install 'perpixel[rasters]'" in refusal(path, 10)
    path.rename(tmp_path / "a.jp2")
    assert "pip install 'perpixel[rasters]'" in refusal(tmp_path / "a.jp2")
