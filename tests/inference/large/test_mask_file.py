"""Mask files: what is written in one pass is what other programs read."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from perpixel.data.place import Place
from perpixel.errors import OutputError
from perpixel.inference.large import mask_file
from perpixel.inference.large.mask_file import write_mask_file
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
# More than two rows of blocks, and not whole ones.
SIZE = (1101, 703)
PLACE = Place(
    rasterio.CRS.from_epsg(32632).to_wkt(), (0.5, 0.0, 5e5, 0.0, -0.5, 5.2e6), "projected"
)


@pytest.fixture
def mask(labels: LabelSpace) -> np.ndarray:
    rng = np.random.default_rng(1)
    coarse = rng.choice([0, 1, 2, 3, labels.ignore_index], (SIZE[0] // 9 + 1, SIZE[1] // 9 + 1))
    return np.kron(coarse, np.ones((9, 9), np.int64))[: SIZE[0], : SIZE[1]].astype(np.uint8)


def rows_of(mask: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda top, height: mask[top : top + height]


def test_a_geotiff_keeps_everything_that_belongs_to_the_mask(
    tmp_path: Path, labels: LabelSpace, mask: np.ndarray
) -> None:
    path = tmp_path / "a.tif"
    write_mask_file(path, "geotiff", rows_of(mask), SIZE, labels, PLACE)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), mask)
        assert file.crs == rasterio.CRS.from_epsg(32632)
        assert tuple(file.transform)[:6] == PLACE.transform
        assert file.nodata == labels.ignore_index
        assert file.profile["tiled"]
        assert file.profile["compress"] == "deflate"
        assert [file.tags(1)[f"class_{index}"] for index in range(4)] == list(labels.names)
        palette = file.colormap(1)
        assert [palette[index][:3] for index in range(4)] == list(labels.colours)
        assert palette[labels.ignore_index][:3] == (0, 0, 0)
        assert file.overviews(1) == [2, 4]
    assert path.stat().st_size < mask.size / 4
    # Without GDAL, too, it is a picture of indices.
    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), mask)


def test_overviews_show_the_most_frequent_class(tmp_path: Path, labels: LabelSpace) -> None:
    mask = np.zeros(SIZE, np.uint8)
    # Of every four pixels three are class 3: no other way of shrinking shows it everywhere.
    mask[1::2], mask[:, 1::2] = 3, 3
    write_mask_file(tmp_path / "a.tif", "geotiff", rows_of(mask), SIZE, labels)
    with rasterio.open(tmp_path / "a.tif", overview_level=0) as file:
        assert np.unique(file.read(1)[:-1, :-1]).tolist() == [3]


@pytest.mark.parametrize("classes", [4, 300])
def test_a_png_reads_as_the_one_that_a_segmentation_saves(
    tmp_path: Path, labels: LabelSpace, mask: np.ndarray, classes: int
) -> None:
    if classes > 256:
        labels = LabelSpace.of([f"class {index}" for index in range(classes)])
        mask = mask.astype(np.uint16) * 257
    path = tmp_path / "a.png"
    write_mask_file(path, "png", rows_of(mask), SIZE, labels)
    image, confidence = np.zeros((3, *SIZE), np.uint8), np.zeros(SIZE, np.float32)
    saved = Segmentation(mask, labels, image, confidence).png()
    with Image.open(path) as ours, Image.open(io.BytesIO(saved)) as theirs:
        assert ours.mode == theirs.mode
        assert ours.getpalette() == theirs.getpalette()
    with Image.open(path) as ours:
        ours.verify()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), mask)


def test_a_geotiff_of_many_classes_has_16_bits(tmp_path: Path, mask: np.ndarray) -> None:
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    wide = mask.astype(np.uint16) * 257
    write_mask_file(tmp_path / "a.tif", "geotiff", rows_of(wide), SIZE, labels)
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(1), wide)
        assert file.nodata == 65_535


@pytest.mark.parametrize("kind", ["png", "geotiff"])
def test_rows_are_asked_for_once_from_the_top_and_never_many(
    tmp_path: Path, labels: LabelSpace, mask: np.ndarray, kind: mask_file.MaskFormat
) -> None:
    asked: list[tuple[int, int]] = []

    def rows(top: int, height: int) -> np.ndarray:
        asked.append((top, height))
        return mask[top : top + height]

    told: list[tuple[int, int]] = []
    path = tmp_path / "a"
    write_mask_file(path, kind, rows, SIZE, labels, None, lambda *now: told.append(now))
    assert asked == [(0, 512), (512, 512), (1024, 77)]
    assert told == [(512, 1101), (1024, 1101), (1101, 1101)]


@pytest.mark.parametrize("kind", ["png", "geotiff"])
def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, labels: LabelSpace, mask: np.ndarray, kind: mask_file.MaskFormat
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def broken(top: int, height: int) -> np.ndarray:
        if top:
            raise OSError(28, "No space left on device")
        return mask[:height]

    with pytest.raises(OutputError, match="No space left"):
        write_mask_file(path, kind, broken, SIZE, labels)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"old")]
    with pytest.raises(OutputError, match="cannot be written"):
        write_mask_file(tmp_path / "none" / "a", kind, rows_of(mask), SIZE, labels)


# A small mask is written when its file is closed; of a larger one only the last overviews.
@pytest.mark.parametrize(("side", "room"), [(300, 20_000), (300, 2_000), (1000, 250_000)])
def test_a_disk_that_is_full_when_the_file_is_closed_is_noticed(
    tmp_path: Path, labels: LabelSpace, side: int, room: int
) -> None:
    resource = pytest.importorskip("resource", reason="no limits of files here")
    noise = np.random.default_rng(0).integers(0, 3, (side, side)).astype(np.uint8)
    path = tmp_path / "mask.tif"

    def write() -> None:
        write_mask_file(
            path, "geotiff", lambda top, deep: noise[top : top + deep], (side, side), labels
        )

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match="No space left on device"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []
    write()
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), noise)
