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
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from perpixel import LabelSpace
from perpixel.delivery.scenes import draw
from perpixel.metrics import Confusion

INK, FAINT = "#222222", "#8a8a8a"
FIRST, SECOND, THIRD = "#0072b2", "#d55e00", "#009e73"  # told apart by the colour-blind
DPI = 110
LABELS = LabelSpace(
    names=("sky", "ground", "tree"),
    colours=((154, 200, 236), (214, 196, 160), (94, 158, 94)),
    ignore_index=255,
)
TRUTH = np.array([[0, 0, 0, 0], [0, 0, 2, 2], [1, 1, 2, 2], [1, 1, 1, 1]])
GUESS = np.array([[0, 0, 0, 0], [0, 2, 2, 2], [1, 1, 1, 2], [1, 1, 1, 1]])


def windows(image: np.ndarray) -> Figure:
    """A classifier's windows on an image, 32 pixels apart, and what two neighbours share."""
    side, step = 224, 32
    height, width = image.shape[:2]
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    down, across = ((length - side) // step + 1 for length in (height, width))
    if min(down, across) < 1:
        raise SystemExit(f"The image has {height}×{width} pixels; a window has {side}×{side}.")
    _show(left, image, f"{down} × {across} windows of {side}×{side}, {step} pixels apart")
    rows, columns = np.mgrid[:down, :across] * step + side / 2
    left.plot(columns, rows, "o", color="white", markeredgecolor=INK, markersize=4)
    left.add_patch(_box(0, 0, side, side, FIRST))
    shared = (side - step) / side
    _show(right, image, f"two neighbours share {shared:.0%} of their pixels")
    right.add_patch(_box(0, 0, side, side, FIRST))
    right.add_patch(_box(step, 0, side, side, SECOND, dashed=True))
    right.add_patch(Rectangle((step, 0), side - step, side, facecolor="white", alpha=0.45))
    for axes in (left, right):
        axes.set_xlim(-4, width)
        axes.set_ylim(height, -4)
    left.set_xlabel("each dot is the middle of a window", color=INK)
    return figure


def transposed() -> Figure:
    """A transposed convolution of 2×2 cells, 3×3 kernel of ones: four stamps and their sum."""
    cells = np.array([[1, 2], [3, 4]])
    figure = Figure(figsize=(13, 3.0), layout="constrained")
    panels = figure.subplots(1, 6, width_ratios=(1.2, 2, 2, 2, 2, 2))
    _numbers(panels[0], cells, "2×2 cells")
    total = np.zeros((4, 4), int)
    for panel, (row, column) in zip(panels[1:5], np.ndindex(2, 2), strict=True):
        stamp = np.zeros((4, 4), int)
        stamp[row : row + 3, column : column + 3] = cells[row, column]
        total += stamp
        _numbers(panel, stamp, f"{'' if row == column == 0 else '+ '}{cells[row, column]} × kernel")
        panel.add_patch(_box(column - 0.5, row - 0.5, 3, 3, SECOND))
    _numbers(panels[5], total, "= 4×4")
    return figure


def crop() -> Figure:
    """Where FCN-32s' 224 pixels lie in its padded input, in its cells and in what is upsampled."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-225, 300)
    axes.set_ylim(4.2, -0.9)
    axes.set_axis_off()
    rows = {"image": 0.0, "padded": 1.0, "cells": 2.0, "upsampled": 3.0}
    _bar(axes, rows["image"], 0, 224, FIRST, "224 pixels")
    _bar(axes, rows["padded"], -100, 100, "#cfcfcf", "pad 100")
    _bar(axes, rows["padded"], 0, 224, FIRST, "the image")
    _bar(axes, rows["padded"], 224, 100, "#cfcfcf", "100")
    for cell in range(8):
        # The middle of cell 0 lies at 13 in the image; the next is 32 further.
        middle = 13 + 32 * cell
        _bar(axes, rows["cells"], middle - 16, 32, "#e9c46a", f"{cell}")
    _bar(axes, rows["upsampled"], -19, 288, "#cfcfcf", "")
    _bar(axes, rows["upsampled"], 0, 224, FIRST, "the 224 that are kept")
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
    _classes(panels[0], TRUTH, "mask: class indices")
    panels[1].set_axis_off()
    panels[1].text(0.5, 0.62, "one-hot →", ha="center", transform=panels[1].transAxes, fontsize=12)
    panels[1].text(0.5, 0.38, "← argmax", ha="center", transform=panels[1].transAxes, fontsize=12)
    for index, panel in enumerate(panels[2:]):
        _numbers(panel, (index == TRUTH).astype(int), f"channel {index}: {LABELS.names[index]}")
    return figure


def scores() -> Figure:
    """The 4×4 example: truth, prediction with its two mistakes, and the table of counts."""
    confusion = Confusion(LABELS)
    confusion.update(GUESS, TRUTH)
    figure = Figure(figsize=(12, 4.1), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _classes(left, TRUTH, "truth")
    _classes(middle, GUESS, "prediction")
    for row, column in np.argwhere(TRUTH != GUESS):
        middle.add_patch(_box(column - 0.5, row - 0.5, 1, 1, SECOND))
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


def field(image: np.ndarray) -> Figure:
    """What a cell of FCN-32s sees with a 7×7 and with a 1×1 fc6, and the cell itself."""
    height, width = image.shape[:2]
    figure = Figure(figsize=(6.4, 6.4 * max(0.5, min(1.5, height / width))), layout="constrained")
    axes = figure.subplots()
    _show(axes, image, f"an image of {height}×{width} pixels")
    for side, colour, text, dashed in (
        (404, FIRST, "404: a cell after a 7×7 fc6", False),
        (212, SECOND, "212: after a 1×1 fc6", True),
        (32, INK, "32: the cell", False),
    ):
        left, top = (width - side) / 2, (height - side) / 2
        axes.add_patch(_box(left, top, side, side, colour, dashed=dashed))
        axes.text(
            width / 2,
            top + (side + 3 if side == 32 else 3),
            text,
            ha="center",
            va="top",
            color=INK,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": colour, "pad": 2},
        )
    axes.set_xlim(min(0, (width - 420) / 2), max(width, (width + 420) / 2))
    axes.set_ylim(max(height, (height + 420) / 2), min(0, (height - 420) / 2))
    return figure


def context(image: np.ndarray) -> Figure:
    """The gradient of the middle pixel's score by the image, without and with global context."""
    height, width = image.shape[:2]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    _show(panels[0], image, "the image, and the pixel")
    for axes in panels:
        axes.plot(width / 2, height / 2, "+", color=SECOND, markersize=14, markeredgewidth=2.5)
    for axes, switch in zip(panels[1:], (False, True), strict=True):
        gradient = influence_of(image, global_context=switch)
        relative = np.ma.masked_equal(gradient / gradient.max(), 0)
        drawn = axes.imshow(relative, cmap="viridis", norm=LogNorm(1e-6, 1))
        axes.set_facecolor("white")
        reached = (gradient > 0).mean()
        title = "with global context" if switch else "without"
        axes.set_title(f"{title}: {reached:.0%} of the pixels")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(drawn, ax=list(panels), label="gradient / its highest", shrink=0.8)
    return figure


def influence_of(image: np.ndarray, *, global_context: bool) -> np.ndarray:
    """(H, W): how strongly each pixel acts on the scores of the one in the middle, in an FCN-32s
    on VGG11 with random weights, the same with and without the switch."""
    from perpixel.networks import FCNConfig, build

    torch.manual_seed(0)
    config = FCNConfig(
        name="fcn32s",
        backbone="vgg11",
        classes=3,
        head="scores",
        global_context=global_context,
    )
    network = build(config).eval().requires_grad_(False)
    torch.manual_seed(1)
    for part in (network.lateral["32"], *([network.context] if network.context else [])):
        torch.nn.init.normal_(part.weight)
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    given.requires_grad_()
    height, width = image.shape[:2]
    network(given).window(height // 2, width // 2, 1, 1).logits().sum().backward()
    assert given.grad is not None
    return given.grad[0].abs().sum(0).numpy()


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def _numbers(axes: Axes, values: np.ndarray, title: str) -> None:
    """Numbers in squares; zeros are faint."""
    axes.imshow(values > 0, cmap="Blues", vmin=0, vmax=6)
    for (row, column), value in np.ndenumerate(values):
        colour = INK if value else FAINT
        axes.text(column, row, str(value), ha="center", va="center", fontsize=14, color=colour)
    _squares(axes, values.shape, title)


def _classes(axes: Axes, mask: np.ndarray, title: str) -> None:
    """A mask in its classes' colours, with the index and the name in each square."""
    axes.imshow(LABELS.colourise(mask))
    for (row, column), value in np.ndenumerate(mask):
        axes.text(column, row - 0.08, str(value), ha="center", va="center", fontsize=14)
        name = LABELS.names[value]
        axes.text(column, row - 0.33, name, ha="center", va="center", fontsize=8, color=INK)
    _squares(axes, mask.shape, title)


def _squares(axes: Axes, shape: tuple[int, ...], title: str) -> None:
    axes.set_xticks(np.arange(shape[1] - 1) + 0.5, [""] * (shape[1] - 1))
    axes.set_yticks(np.arange(shape[0] - 1) + 0.5, [""] * (shape[0] - 1))
    axes.grid(color="white", linewidth=1.5)
    axes.tick_params(length=0)
    axes.set_title(title)


def _box(
    left: float, top: float, width: float, height: float, colour: str, *, dashed: bool = False
) -> Rectangle:
    style = "--" if dashed else "-"
    return Rectangle(
        (left, top), width, height, fill=False, edgecolor=colour, linewidth=2.5, linestyle=style
    )


def _bar(axes: Axes, row: float, left: float, width: float, colour: str, text: str) -> None:
    axes.add_patch(
        Rectangle((left, row - 0.32), width, 0.64, facecolor=colour, edgecolor="white", linewidth=1)
    )
    ink = "white" if colour == FIRST else INK
    axes.text(left + width / 2, row, text, ha="center", va="center", color=ink, fontsize=11)


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
