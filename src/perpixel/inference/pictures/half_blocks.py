"""An overlay for a terminal: two colours in each character, and letters that stand for classes."""

from __future__ import annotations

import string
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from perpixel.inference.pictures.display import displayable
from perpixel.inference.segmentation import ClassMask

# One for each class that is in the picture, the largest first; further classes have none.
LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
NO_LETTER, NO_LABEL = "?", "."
OPACITY = 0.65


@dataclass(frozen=True, eq=False)
class HalfBlocks:
    """A picture of characters, each about twice as high as it is wide.

    Args:
        colours: of the upper and the lower half of every character.
        letters: of the class in the middle of each character; NO_LABEL where there is none.
        marks: (row, column) of the character that lies deepest in each class's largest region:
            its letter is written there.
        legend: letter and class index of every class in the mask, the largest first.
    """

    colours: UInt8[np.ndarray, "rows columns 2 3"]
    letters: Shaped[np.ndarray, "rows columns"]
    marks: tuple[tuple[int, int], ...]
    legend: tuple[tuple[str, int], ...]


def half_blocks(segmentation: ClassMask, columns: int) -> HalfBlocks:
    """The classes' colours over the image, so many characters wide and as high as that makes it.

    Args:
        segmentation: what was predicted.
        columns: characters in a row, at least 1.
    """
    labels, mask = segmentation.labels, segmentation.mask
    height, width = mask.shape
    rows = max(1, round(columns * height / width / 2))
    size = (columns, 2 * rows)
    picture = cv2.resize(displayable(segmentation.image), size, interpolation=cv2.INTER_AREA)
    # OpenCV does not resize uint16 masks of many classes in every mode; picking needs no library.
    y = ((np.arange(2 * rows) + 0.5) * height / (2 * rows)).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    small = mask[y][:, x]
    blend = cv2.addWeighted(labels.colourise(small), OPACITY, picture, 1 - OPACITY, 0.0)
    shown = np.where(labels.labelled(small)[..., None], blend, picture)
    colours = shown.reshape(rows, 2, columns, 3).transpose(0, 2, 1, 3)

    pixels = labels.pixels_by_class(mask)
    present = sorted(np.flatnonzero(pixels).tolist(), key=lambda index: -pixels[index])
    legend = [
        (LETTERS[place] if place < len(LETTERS) else NO_LETTER, index)
        for place, index in enumerate(present)
    ]
    middle = small[1::2]
    letters = np.full(middle.shape, NO_LABEL)
    marks = []
    for letter, index in legend:
        region = middle == index
        letters[region] = letter
        if region.any() and letter != NO_LETTER:
            room = cv2.distanceTransform(np.pad(region.view(np.uint8), 1), cv2.DIST_L2, 3)
            row, column = np.unravel_index(int(room.argmax()), room.shape)
            marks.append((int(row) - 1, int(column) - 1))
    return HalfBlocks(np.ascontiguousarray(colours), letters, tuple(marks), tuple(legend))
