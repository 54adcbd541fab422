"""The picture of a segmentation: the classes' colours over the image, their borders, their names
where there is room, and a legend. Nobody has to tell classes apart by colour alone."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Integer, UInt8
from PIL import Image, ImageDraw

from perpixel.inference.pictures.legend import Entry, font, share_text, with_legend
from perpixel.labels import LabelSpace

# The picture of a smaller image is enlarged, by whole pixels, until its longer side has this many.
SMALLEST = 360
# Text heights in pixels, and pixels of the picture's longer side for one of them.
SMALLEST_TEXT, LARGEST_TEXT, PIXELS_A_TEXT_PIXEL = 13, 96, 48
# Not opaque: a pole one pixel wide must keep some of its colour.
BORDER, BORDER_OPACITY = (255, 255, 255), 0.65
# Where to write a name is found on a picture of at most this many pixels a side.
SKETCH = 512


def draw_overlay(
    picture: UInt8[np.ndarray, "H W 3"],
    mask: Integer[np.ndarray, "H W"],
    labels: LabelSpace,
    areas: dict[str, float],
    opacity: float,
) -> Image.Image:
    """The mask in the classes' colours over the picture, with a legend of the classes in it.

    Args:
        picture: the image, 8-bit RGB.
        mask: class indices; unlabelled pixels show the picture itself.
        labels: names and colours.
        areas: the share of each class, for the legend.
        opacity: of the colours, 0 … 1.

    Raises:
        ValueError: opacity is outside 0 … 1.
    """
    times, text_height = drawn_size(mask.shape)
    sheet = painted(picture, mask, labels, opacity, times, text_height)
    entries = [
        Entry(labels.names[index], share_text(areas[labels.names[index]]), labels.colours[index])
        for index in _present(mask, labels)
    ]
    if not labels.labelled(mask).all():
        entries.append(Entry("no label", "", None))
    return with_legend(sheet, entries, text_height)


def drawn_size(size: tuple[int, ...]) -> tuple[int, int]:
    """How many pixels wide and high each pixel of a picture of (H, W) is drawn, and how many of
    them high the names on it are."""
    times = max(1, -(-SMALLEST // max(size)))
    text_height = np.clip(max(size) * times // PIXELS_A_TEXT_PIXEL, SMALLEST_TEXT, LARGEST_TEXT)
    return times, int(text_height)


def painted(
    picture: UInt8[np.ndarray, "H W 3"],
    mask: Integer[np.ndarray, "H W"],
    labels: LabelSpace,
    opacity: float,
    times: int,
    text_height: int,
) -> Image.Image:
    """The mask in the classes' colours over the picture, with borders, and names where is room.

    Args:
        picture, mask, labels, opacity: as in `draw_overlay`.
        times: how many pixels wide and high each of the picture's is drawn.
        text_height: of the names, in drawn pixels.

    Raises:
        ValueError: opacity is outside 0 … 1.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is outside 0 … 1")
    enlarged = mask.repeat(times, axis=0).repeat(times, axis=1)
    coloured = _blended(picture, mask, labels, opacity).repeat(times, axis=0).repeat(times, axis=1)
    borders = _borders(enlarged, max(1, text_height // 20))
    light = coloured[borders] * (1 - BORDER_OPACITY) + np.asarray(BORDER) * BORDER_OPACITY
    coloured[borders] = light.astype(np.uint8)
    sheet = Image.fromarray(coloured)
    for index in _present(mask, labels):
        _write_name(sheet, enlarged, index, labels.names[index], text_height)
    return sheet


def _present(mask: Integer[np.ndarray, "H W"], labels: LabelSpace) -> list[int]:
    """The classes in the mask, the largest first."""
    pixels = labels.pixels_by_class(mask)
    return sorted(np.flatnonzero(pixels).tolist(), key=lambda index: -pixels[index])


def _blended(
    picture: UInt8[np.ndarray, "H W 3"],
    mask: Integer[np.ndarray, "H W"],
    labels: LabelSpace,
    opacity: float,
) -> UInt8[np.ndarray, "H W 3"]:
    blend = cv2.addWeighted(labels.colourise(mask), opacity, picture, 1 - opacity, 0.0)
    return np.where(labels.labelled(mask)[..., None], blend, picture)


def _borders(mask: Integer[np.ndarray, "H W"], width: int) -> Bool[np.ndarray, "H W"]:
    """The pixels whose right or lower neighbour is of another class, as a line of that width."""
    borders = np.zeros(mask.shape, bool)
    borders[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    borders[:-1] |= mask[:-1] != mask[1:]
    if width > 1:
        brush = np.ones((width, width), np.uint8)
        borders = cv2.dilate(borders.view(np.uint8), brush).view(bool)
    return borders


def _write_name(
    sheet: Image.Image, mask: Integer[np.ndarray, "H W"], index: int, name: str, text_height: int
) -> None:
    """Write the class's name into its largest region, if there is room for it."""
    step = -(-max(mask.shape) // SKETCH)
    # A frame of another class: a region ends where the picture ends.
    sketch = np.pad((mask[::step, ::step] == index).view(np.uint8), 1)
    _, regions, facts, _ = cv2.connectedComponentsWithStats(sketch, connectivity=4)
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax()) if len(facts) > 1 else 0
    if not largest:
        return
    region = (regions == largest).view(np.uint8)
    letters = font(text_height, bold=True)
    left, top, right, bottom = letters.getbbox(name, anchor="mm", stroke_width=1)
    # The centres of all boxes of the text's size that lie in the region: its erosion by the box.
    box = np.ones((int(bottom - top) // step + 3, int(right - left) // step + 3), np.uint8)
    if box.shape[0] > region.shape[0] or box.shape[1] > region.shape[1]:
        return
    room = cv2.erode(region, box)
    if not room.any():
        return
    distance = cv2.distanceTransform(np.pad(room, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    ImageDraw.Draw(sheet).text(
        ((int(x) - 0.5) * step, (int(y) - 0.5) * step),
        name,
        (255, 255, 255),
        letters,
        anchor="mm",
        stroke_width=max(1, text_height // 10),
        stroke_fill=(0, 0, 0),
    )
