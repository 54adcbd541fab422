"""Draws the pictures of `fcn.md` that explain arithmetic, one at a time.

    python docs/pictures.py windows street.jpg --out windows.png
    python docs/pictures.py transposed --out transposed.png

Those that show an image (windows, field, context) take any; without one they draw a scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from drawing import DPI, FIRST, INK, LABELS, SECOND, bar, box, show_classes, show_numbers
from image_pictures import context, field, windows
from matplotlib.figure import Figure

from perpixel.delivery.scenes import draw
from perpixel.metrics import Confusion

TRUTH = np.array([[0, 0, 0, 0], [0, 0, 2, 2], [1, 1, 2, 2], [1, 1, 1, 1]])
GUESS = np.array([[0, 0, 0, 0], [0, 2, 2, 2], [1, 1, 1, 2], [1, 1, 1, 1]])


def transposed() -> Figure:
    """A transposed convolution of 2×2 cells, 3×3 kernel of ones: four stamps and their sum."""
    cells = np.array([[1, 2], [3, 4]])
    figure = Figure(figsize=(13, 3.0), layout="constrained")
    panels = figure.subplots(1, 6, width_ratios=(1.2, 2, 2, 2, 2, 2))
    show_numbers(panels[0], cells, "2×2 cells")
    total = np.zeros((4, 4), int)
    for panel, (row, column) in zip(panels[1:5], np.ndindex(2, 2), strict=True):
        stamp = np.zeros((4, 4), int)
        stamp[row : row + 3, column : column + 3] = cells[row, column]
        total += stamp
        show_numbers(
            panel, stamp, f"{'' if row == column == 0 else '+ '}{cells[row, column]} × kernel"
        )
        panel.add_patch(box(column - 0.5, row - 0.5, 3, 3, SECOND))
    show_numbers(panels[5], total, "= 4×4")
    return figure


def crop() -> Figure:
    """Where FCN-32s' 224 pixels lie in its padded input, in its cells and in what is upsampled."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-225, 300)
    axes.set_ylim(4.2, -0.9)
    axes.set_axis_off()
    rows = {"image": 0.0, "padded": 1.0, "cells": 2.0, "upsampled": 3.0}
    bar(axes, rows["image"], 0, 224, FIRST, "224 pixels")
    bar(axes, rows["padded"], -100, 100, "#cfcfcf", "pad 100")
    bar(axes, rows["padded"], 0, 224, FIRST, "the image")
    bar(axes, rows["padded"], 224, 100, "#cfcfcf", "100")
    for cell in range(8):
        # The middle of cell 0 lies at 13 in the image; the next is 32 further.
        middle = 13 + 32 * cell
        bar(axes, rows["cells"], middle - 16, 32, "#e9c46a", f"{cell}")
    bar(axes, rows["upsampled"], -19, 288, "#cfcfcf", "")
    bar(axes, rows["upsampled"], 0, 224, FIRST, "the 224 that are kept")
    for start, text in ((-19, "19"), (224, "45")):
        end = 0 if start < 0 else 269
        middle = (start + end) / 2
        axes.text(middle, rows["upsampled"] + 0.62, text, ha="center", color=INK, fontsize=11)
    axes.plot([13, 13], [2.35, 3.62], color=SECOND, linestyle="--", linewidth=1.5)
    axes.text(
        13,
        3.95,
        "the middle of cell 0: 13 in the image,\n32 in what was upsampled: crop 19",
        ha="center",
        va="center",
        color=SECOND,
        fontsize=10,
    )
    for name, text in (
        ("image", "the image"),
        ("padded", "what conv1_1 reads"),
        ("cells", "8 cells of 32 = 256"),
        ("upsampled", "(8 − 1) · 32 + 64 = 288"),
    ):
        axes.text(-222, rows[name], text, va="center", color=INK, fontsize=11)
    return figure


def onehot() -> Figure:
    """A mask as one channel for each class; and three scores, of which the highest wins."""
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    panels = figure.subplots(1, 5, width_ratios=(1, 0.25, 1, 1, 1))
    show_classes(panels[0], TRUTH, "mask: class indices")
    panels[1].set_axis_off()
    panels[1].text(0.5, 0.62, "one-hot →", ha="center", transform=panels[1].transAxes, fontsize=12)
    panels[1].text(0.5, 0.38, "← argmax", ha="center", transform=panels[1].transAxes, fontsize=12)
    for index, panel in enumerate(panels[2:]):
        show_numbers(panel, (index == TRUTH).astype(int), f"channel {index}: {LABELS.names[index]}")
    return figure


def scores() -> Figure:
    """The 4×4 example: truth, prediction with its two mistakes, and the table of counts."""
    confusion = Confusion(LABELS)
    confusion.update(GUESS, TRUTH)
    figure = Figure(figsize=(12, 4.1), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    show_classes(left, TRUTH, "truth")
    show_classes(middle, GUESS, "prediction")
    for row, column in np.argwhere(TRUTH != GUESS):
        middle.add_patch(box(column - 0.5, row - 0.5, 1, 1, SECOND))
        middle.text(column, row + 0.33, "wrong", ha="center", color=INK, fontsize=8)
    right.imshow(confusion.counts, cmap="Greys", vmin=0, vmax=12)
    for (row, column), count in np.ndenumerate(confusion.counts):
        right.text(column, row, str(count), ha="center", va="center", fontsize=15, color=INK)
    right.set_xticks(range(3), LABELS.names)
    right.set_yticks(range(3), LABELS.names)
    right.set_xlabel("predicted")
    right.set_ylabel("true")
    right.set_title("counts")
    score = confusion.scores()
    figure.suptitle(
        f"pixel accuracy {score.pixel_accuracy:.3f} · mean accuracy {score.mean_accuracy:.3f} · "
        f"mean IoU {score.mean_iou:.3f} · frequency-weighted IoU {score.frequency_weighted_iou:.3f}"
    )
    return figure


ABOUT_AN_IMAGE: dict[str, Callable[[np.ndarray], Figure]] = {
    "windows": windows,
    "field": field,
    "context": context,
}
BY_THEMSELVES: dict[str, Callable[[], Figure]] = {
    "transposed": transposed,
    "crop": crop,
    "onehot": onehot,
    "scores": scores,
}


def picture(name: str, image: Path | None = None) -> Figure:
    """The picture of that name; of a drawn scene where it is about an image and none is given."""
    if name in BY_THEMSELVES:
        return BY_THEMSELVES[name]()
    if image is None:
        return ABOUT_AN_IMAGE[name](draw(0, 11, 500, 500)[0])
    found = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if found is None:
        raise SystemExit(f"{image}: not an image that can be read")
    return ABOUT_AN_IMAGE[name](found[..., ::-1].copy())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*ABOUT_AN_IMAGE, *BY_THEMSELVES])
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    asked = parser.parse_args()
    picture(asked.name, asked.image).savefig(asked.out, dpi=DPI)
    print(f"wrote {asked.out}")


if __name__ == "__main__":
    main()
