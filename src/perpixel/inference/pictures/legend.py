"""The legend of an overlay: a colour, a name and a share for every class in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from perpixel.labels import Colour

PAPER, INK, FAINT = (255, 255, 255), (33, 33, 33), (110, 110, 110)
# In units of the text's height.
ROW, PATCH, GAP, LONGEST_NAME = 1.7, 1.15, 0.6, 16.0


@dataclass(frozen=True)
class Entry:
    """One line of a legend; no colour means pixels that show the image itself."""

    name: str
    share: str
    colour: Colour | None


@dataclass(frozen=True)
class Layout:
    """A legend of so many rows and columns, beside the picture or beneath it."""

    rows: int
    columns: int
    beside: bool


@lru_cache(maxsize=16)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic and more."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def share_text(share: float) -> str:
    """A share in percent; what is there but rounds to nothing is "<0.1 %"."""
    percent = 100 * share
    return "<0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def lay_out(picture: tuple[int, int], entries: int, column_width: int, row_height: int) -> Layout:
    """The arrangement that makes the whole sheet smallest and nearest to a square.

    Args:
        picture: (width, height) of the picture, in pixels.
        entries: how many lines the legend has.
        column_width, row_height: of one of its lines, in pixels.
    """

    def cost(layout: Layout) -> float:
        width, height = _sheet(picture, layout, column_width, row_height)
        return width * height * math.sqrt(max(width / height, height / width))

    return min(
        (
            Layout(rows, math.ceil(entries / rows), beside)
            for beside in (True, False)
            for rows in range(1, entries + 1)
        ),
        key=cost,
    )


def with_legend(picture: Image.Image, entries: list[Entry], text_height: int) -> Image.Image:
    """A white sheet with the picture and its legend.

    Args:
        picture: RGB.
        entries: the lines, in the order in which they are read: down each column.
        text_height: of the legend's letters, in pixels.
    """
    if not entries:
        return picture
    letters = font(text_height)
    names = [shortened(entry.name, letters, LONGEST_NAME * text_height) for entry in entries]
    name_width = math.ceil(max(letters.getlength(name) for name in names))
    share_width = math.ceil(max(letters.getlength(entry.share) for entry in entries))
    gap, patch = round(GAP * text_height), round(PATCH * text_height)
    row_height = round(ROW * text_height)
    column_width = patch + name_width + share_width + 4 * gap
    layout = lay_out(picture.size, len(entries), column_width, row_height)
    sheet = Image.new("RGB", _sheet(picture.size, layout, column_width, row_height), PAPER)
    sheet.paste(picture)
    left, top = (picture.width, gap) if layout.beside else (0, picture.height + gap)
    draw = ImageDraw.Draw(sheet)
    for index, (entry, name) in enumerate(zip(entries, names, strict=True)):
        column, row = divmod(index, layout.rows)
        x, y = left + gap + column * column_width, top + row * row_height
        middle = y + row_height / 2
        box = (x, round(middle - patch / 2), x + patch, round(middle + patch / 2))
        draw.rounded_rectangle(box, text_height // 5, entry.colour or PAPER, FAINT)
        if entry.colour is None:
            draw.line((box[0] + 2, box[3] - 2, box[2] - 2, box[1] + 2), FAINT)
        x += patch + gap
        draw.text((x, middle), name, INK, letters, anchor="lm")
        x += name_width + gap + share_width
        draw.text((x, middle), entry.share, FAINT, letters, anchor="rm")
    return sheet


def shortened(name: str, letters: ImageFont.FreeTypeFont, width: float) -> str:
    """The name, cut with "…" where it is wider than `width` pixels."""
    if letters.getlength(name) <= width:
        return name
    while name and letters.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name.rstrip()}…"


def _sheet(
    picture: tuple[int, int], layout: Layout, column_width: int, row_height: int
) -> tuple[int, int]:
    """(width, height) of picture and legend together."""
    margin = round(GAP / ROW * row_height)
    wide = layout.columns * column_width + margin
    high = layout.rows * row_height + 2 * margin
    if layout.beside:
        return picture[0] + wide, max(picture[1], high)
    return max(picture[0], wide), picture[1] + high
