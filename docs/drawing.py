"""Colours and parts of the pictures of `fcn.md`."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from perpixel import LabelSpace

INK, FAINT = "#222222", "#8a8a8a"
FIRST, SECOND, THIRD = "#0072b2", "#d55e00", "#009e73"  # told apart by the colour-blind
DPI = 110
LABELS = LabelSpace(
    names=("sky", "ground", "tree"),
    colours=((154, 200, 236), (214, 196, 160), (94, 158, 94)),
    ignore_index=255,
)


def show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def show_numbers(axes: Axes, values: np.ndarray, title: str) -> None:
    """Numbers in squares; zeros are faint."""
    axes.imshow(values > 0, cmap="Blues", vmin=0, vmax=6)
    for (row, column), value in np.ndenumerate(values):
        colour = INK if value else FAINT
        axes.text(column, row, str(value), ha="center", va="center", fontsize=14, color=colour)
    in_squares(axes, values.shape, title)


def show_classes(axes: Axes, mask: np.ndarray, title: str) -> None:
    """A mask in its classes' colours, with the index and the name in each square."""
    axes.imshow(LABELS.colourise(mask))
    for (row, column), value in np.ndenumerate(mask):
        axes.text(column, row - 0.08, str(value), ha="center", va="center", fontsize=14)
        name = LABELS.names[value]
        axes.text(column, row - 0.33, name, ha="center", va="center", fontsize=8, color=INK)
    in_squares(axes, mask.shape, title)


def in_squares(axes: Axes, shape: tuple[int, ...], title: str) -> None:
    axes.set_xticks(np.arange(shape[1] - 1) + 0.5, [""] * (shape[1] - 1))
    axes.set_yticks(np.arange(shape[0] - 1) + 0.5, [""] * (shape[0] - 1))
    axes.grid(color="white", linewidth=1.5)
    axes.tick_params(length=0)
    axes.set_title(title)


def box(
    left: float, top: float, width: float, height: float, colour: str, *, dashed: bool = False
) -> Rectangle:
    style = "--" if dashed else "-"
    return Rectangle(
        (left, top), width, height, fill=False, edgecolor=colour, linewidth=2.5, linestyle=style
    )


def bar(axes: Axes, row: float, left: float, width: float, colour: str, text: str) -> None:
    axes.add_patch(
        Rectangle((left, row - 0.32), width, 0.64, facecolor=colour, edgecolor="white", linewidth=1)
    )
    ink = "white" if colour == FIRST else INK
    axes.text(left + width / 2, row, text, ha="center", va="center", color=ink, fontsize=11)
