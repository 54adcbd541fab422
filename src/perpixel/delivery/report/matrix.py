"""The confusion matrix: as a picture, and the confusions that matter most as a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from perpixel.metrics import Scores
from perpixel.metrics.scores import ratio

# Up to so many classes every cell carries its percentage.
NUMBERED = 25
LONGEST_NAME = 16
LISTED = 12
# Names' height in points, and inches for a class and for the names beside the matrix.
LETTERS, CELL, MARGIN = 9, 0.42, 1.7
SMALL_LETTERS, SMALL_CELL = 6, 0.11


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that were taken for another.

    Args:
        truth, taken_for: the classes' indices.
        pixels: how many.
        share: of all pixels of the true class.
    """

    truth: int
    taken_for: int
    pixels: int
    share: float


def matrix(scores: Scores) -> Figure:
    """Rows are the truth, columns the prediction; a row adds up to 100 %.

    A class that is not in the masks has an empty row.
    """
    classes, numbered = scores.labels.classes, scores.labels.classes <= NUMBERED
    cell, letters = (CELL, LETTERS) if numbered else (SMALL_CELL, SMALL_LETTERS)
    side = cell * classes
    shares = ratio(scores.counts, np.broadcast_to(scores.pixels[:, None], scores.counts.shape))
    figure = Figure(figsize=(side + MARGIN, side + MARGIN), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#eeeeee")
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    names = [_cut(name) for name in scores.labels.names]
    # A name with two $ is no formula.
    axes.set_xticks(range(classes), names, rotation=90, fontsize=letters, parse_math=False)
    axes.set_yticks(range(classes), names, fontsize=letters, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    # The classes' own colours, between the names and the matrix.
    axes.tick_params(length=0, pad=15 if numbered else 7)
    swatches = np.asarray(scores.labels.colours) / 255
    outside = np.full(classes, -0.5) - 7 / (72 * cell) * (1 if numbered else 0.5)
    below = classes - 1 - outside
    marks: dict[str, Any] = {
        "s": 60 if numbered else 12,
        "c": swatches,
        "marker": "s",
        "edgecolors": "0.4",
        "linewidths": 0.5,
        "clip_on": False,
    }
    axes.scatter(outside, range(classes), **marks)
    axes.scatter(range(classes), below, **marks)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    if numbered:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = "white" if share > 0.55 else "black"
                text = f"{100 * share:.0f}"
                axes.text(column, row, text, color=colour, ha="center", va="center", fontsize=9)
    return figure


def mistakes(scores: Scores) -> list[Mistake]:
    """The most frequent confusions of two classes, by pixels, the most first."""
    wrong = scores.counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        Mistake(
            int(truth),
            int(guess),
            int(wrong[truth, guess]),
            float(wrong[truth, guess] / scores.pixels[truth]),
        )
        for truth, guess in pairs
        if wrong[truth, guess] > 0
    ]


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1].rstrip()}…"
