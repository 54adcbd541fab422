"""The picture of a segmentation: the right colours, names and sizes for any image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from perpixel.inference.pictures import overlay
from perpixel.inference.pictures.legend import (
    LONGEST_NAME,
    Entry,
    font,
    lay_out,
    share_text,
    shortened,
    with_legend,
)
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace


def segmentation(mask, labels, image=None):
    mask = np.asarray(mask)
    if image is None:
        image = np.full((3, *mask.shape), 90, np.uint8)
    return Segmentation(mask, labels, image, np.ones(mask.shape, np.float32))


@pytest.fixture
def entries(monkeypatch) -> list[list[Entry]]:
    """The legends that overlays are given."""
    seen: list[list[Entry]] = []

    def record(picture: Image.Image, entries: list[Entry], text_height: int) -> Image.Image:
        seen.append(entries)
        return picture

    monkeypatch.setattr(overlay, "with_legend", record)
    return seen


def test_the_legend_lists_the_classes_in_the_picture_largest_first(labels, entries):
    mask = np.array([[0, 3, 3, 3, 3, 255]] * 2, np.uint8)
    segmentation(mask, labels).overlay()
    assert entries == [
        [
            Entry("boat", "80.0 %", labels.colours[3]),
            Entry("sky", "20.0 %", labels.colours[0]),
            Entry("no label", "", None),
        ]
    ]


def test_opacity_goes_from_the_image_alone_to_the_mask_alone(labels, entries):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 400, 500), np.uint8)
    mask = np.full((400, 500), 1, np.uint8)
    mask[:, 250:] = 255
    place = (30, 40)
    shown = [
        np.asarray(segmentation(mask, labels, image).overlay(opacity))[place]
        for opacity in (0.0, 0.5, 1.0)
    ]
    own, colour = image[:, 30, 40], np.asarray(labels.colours[1])
    assert shown[0].tolist() == own.tolist()
    assert np.abs(shown[1] - (own / 2 + colour / 2)).max() <= 1
    assert shown[2].tolist() == colour.tolist()


def test_unlabelled_pixels_show_the_image(labels, entries):
    image = np.random.default_rng(1).integers(0, 256, (3, 400, 500), np.uint8)
    mask = np.full((400, 500), 255, np.uint8)
    shown = np.asarray(segmentation(mask, labels, image).overlay(1.0))
    np.testing.assert_array_equal(shown, image.transpose(1, 2, 0))


def test_borders_between_classes_are_drawn_thin(labels, entries):
    mask = np.zeros((400, 500), np.uint8)
    mask[:, 250:] = 1
    shown = np.asarray(segmentation(mask, labels).overlay(1.0)).astype(int)
    row = shown[3]  # above the names
    drawn = np.flatnonzero(
        (row != np.where(mask[3, :, None], *np.array(labels.colours)[[1, 0]])).any(axis=1)
    )
    assert drawn.tolist() == [249]
    assert (row[249] > shown[3, 100]).all()


@pytest.mark.parametrize("opacity", [-0.1, 1.5])
def test_an_opacity_beyond_0_to_1_is_refused(labels, opacity):
    with pytest.raises(ValueError, match="opacity"):
        segmentation(np.zeros((4, 4), np.uint8), labels).overlay(opacity)


@pytest.mark.parametrize("size", [(1, 1), (8, 5), (1, 700), (333, 2), (480, 640)])
@pytest.mark.parametrize("classes", [1, 4, 150])
def test_any_image_and_any_number_of_classes_give_a_picture_that_shows_all_of_it(size, classes):
    labels = LabelSpace.of([f"class number {index}" for index in range(classes)])
    mask = np.resize(np.arange(classes), size).astype(np.uint8)
    sheet = segmentation(mask, labels).overlay()
    # Larger than the image in both ways, large enough to read, and with room for the legend.
    times = max(1, -(-overlay.SMALLEST // max(size)))
    assert sheet.width >= size[1] * times
    assert sheet.height >= size[0] * times
    assert max(sheet.size) >= overlay.SMALLEST
    assert sheet.width * sheet.height > size[0] * size[1] * times**2


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(2).random((1, 20, 30), np.float32),
        np.random.default_rng(3).integers(0, 4000, (2, 20, 30), np.uint16),
        np.random.default_rng(4).integers(0, 60_000, (5, 20, 30), np.uint16),
    ],
)
def test_images_of_other_types_and_bands_are_shown(labels, image):
    sheet = segmentation(np.zeros((20, 30), np.uint8), labels, image).overlay()
    assert np.asarray(sheet).std() > 0


def test_a_name_is_written_into_a_region_with_room_for_it_and_only_there(labels):
    mask = np.zeros((400, 500), np.uint8)
    mask[200:203] = 1
    only_colours = overlay._blended(np.zeros((400, 500, 3), np.uint8), mask, labels, 1.0)
    sheet = Image.fromarray(only_colours)
    overlay._write_name(sheet, mask, 1, "sea", 13)
    np.testing.assert_array_equal(np.asarray(sheet), only_colours)
    overlay._write_name(sheet, mask, 0, "sky", 13)
    written = (np.asarray(sheet) != only_colours).any(axis=2)
    assert written.any()
    assert (mask[written] == 0).all()


@pytest.mark.parametrize("entries", [1, 2, 11, 150, 1000])
@pytest.mark.parametrize("picture", [(480, 360), (360, 480), (3000, 200), (360, 8)])
def test_a_legend_has_a_line_for_every_class_and_keeps_the_sheet_compact(entries, picture):
    layout = lay_out(picture, entries, column_width=160, row_height=22)
    assert (layout.columns - 1) * layout.rows < entries <= layout.columns * layout.rows
    sheet = with_legend(
        Image.new("RGB", picture),
        [Entry(f"class {index}", "1.0 %", (1, 2, 3)) for index in range(entries)],
        13,
    )
    needed = entries * 160 * 22 + picture[0] * picture[1]
    assert sheet.width * sheet.height < 4 * needed + 200_000


def test_every_line_of_the_legend_is_drawn_whole():
    entries = [Entry(f"name {index}", "12.3 %", (255, 0, 0)) for index in range(23)]
    sheet = np.asarray(with_legend(Image.new("RGB", (300, 100), (0, 0, 255)), entries, 13))
    patch = (sheet == (255, 0, 0)).all(axis=2)
    one = np.asarray(with_legend(Image.new("RGB", (300, 100), (0, 0, 255)), entries[:1], 13))
    assert patch.sum() == 23 * (one == (255, 0, 0)).all(axis=2).sum()
    # Nothing touches the sheet's edge beyond the picture.
    assert (sheet[-1] == 255).all()
    assert (sheet[100:, -1] == 255).all()


def test_long_names_are_shortened_to_fit():
    letters, width = font(13), LONGEST_NAME * 13
    assert shortened("sky", letters, width) == "sky"
    cut = shortened("a very long name of a class " * 5, letters, width)
    assert cut.endswith("…")
    assert letters.getlength(cut) <= width


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (1e-6, "<0.1 %"), (0.001, "0.1 %"), (0.3456, "34.6 %"), (1.0, "100.0 %")],
)
def test_a_class_that_is_there_is_never_said_to_be_absent(share, text):
    assert share_text(share) == text
