"""The plots of a report, each for one run or for several: a line, a marker and a name for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from perpixel.metrics import BoundaryBands, Calibration, ObjectSizes, Scores
from perpixel.metrics.boundary import WIDTHS
from perpixel.metrics.calibration import BINS
from perpixel.metrics.object_size import BUCKETS

# Narrow enough that a phone shows the letters at about their own size.
SIZE = (5.2, 3.6)
# The palette of Okabe and Ito, which colour-blind readers can tell apart; markers and dashes too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX*"
DASHES = ("-", "--", "-.", ":")


def trimap(boundary: Mapping[str, tuple[BoundaryBands, Scores]]) -> Figure:
    """Mean IoU in bands around the edges of the truth, and over whole images."""
    figure, axes = _plot("pixels on each side of an edge", "mean IoU")
    for style, (name, (bands, whole)) in zip(_styles(len(boundary)), boundary.items(), strict=True):
        values = [*(scores.mean_iou for scores in bands.scores().values()), whole.mean_iou]
        axes.plot(range(len(values)), values, label=name, **style)
        if len(boundary) == 1:
            _write_values(axes, values)
    axes.margins(x=0.1)
    axes.set_xticks(range(len(WIDTHS) + 1), [*map(str, WIDTHS), "whole\nimage"])
    return _finished(figure, axes, len(boundary))


def by_size(sizes: Mapping[str, ObjectSizes]) -> Figure:
    """Accuracy by the size of the objects; for one run also how many of them were found."""
    figure, axes = _plot("size of the object: √area, in pixels", "share")
    lines: dict[str, Float64[np.ndarray, "buckets"]] = {}
    for name, of_run in sizes.items():
        if len(sizes) > 1:
            lines[name] = of_run.mean_accuracy
        else:
            lines["pixels right, mean over classes"] = of_run.mean_accuracy
            lines["objects found"] = of_run.found_share
    for style, (name, values) in zip(_styles(len(lines)), lines.items(), strict=True):
        axes.plot(range(len(values)), values, label=name, **style)
    axes.set_xticks(range(len(BUCKETS)), BUCKETS)
    if len(sizes) > 1:
        axes.set_ylabel("pixels right, mean over classes")
    return _finished(figure, axes, len(lines))


def reliability(calibrations: Mapping[str, Calibration]) -> Figure:
    """The reliability diagram, and below it how many pixels each bin holds."""
    figure = Figure(figsize=(SIZE[0], SIZE[1] * 1.35), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.5", linewidth=1, label="perfectly calibrated")
    middles = (np.arange(BINS) + 0.5) / BINS
    for style, (name, one) in zip(_styles(len(calibrations)), calibrations.items(), strict=True):
        label = name if len(calibrations) > 1 else "model"
        upper.plot(one.confidence, one.accuracy, label=label, **style)
        share = one.pixels / max(int(one.pixels.sum()), 1)
        if len(calibrations) == 1:
            lower.bar(middles, share, width=0.9 / BINS, color=style["color"])
        else:
            lower.plot(middles, share, **style)
    upper.set_ylabel("share that is right")
    upper.set_ylim(-0.03, 1.03)
    upper.grid(alpha=0.3)
    _plain(upper.legend(loc="upper left", fontsize=9))
    lower.set_ylabel("pixels")
    lower.set_ylim(bottom=0)
    lower.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    lower.set_xlabel("probability of the class that won")
    lower.set_xlim(0, 1)
    lower.grid(alpha=0.3)
    return figure


def progress_curves(epochs: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Validation mean IoU of several runs against the minutes since their start."""
    figure, axes = _plot("minutes of training", "validation mean IoU")
    for style, (name, points) in zip(_styles(len(epochs)), epochs.items(), strict=True):
        x, y = np.asarray(points, float).reshape(-1, 2).T
        axes.plot(x, y, label=name, **style, markevery=max(1, len(x) // 12))
    axes.set_ylim(bottom=0)
    return _finished(figure, axes, len(epochs))


def _plot(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, 1.03)
    axes.grid(alpha=0.3)
    return figure, axes


def _finished(figure: Figure, axes: Axes, lines: int) -> Figure:
    if lines > 1:
        _plain(axes.legend(loc="best", fontsize=9))
    return figure


def _plain(legend: Legend) -> None:
    for text in legend.get_texts():
        text.set_parse_math(False)  # a run's name with two $ is no formula


def _styles(count: int) -> list[dict[str, Any]]:
    """A colour, a marker and a kind of line for each of so many."""
    kinds = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=False)
    return [
        {"color": colour, "marker": marker, "linestyle": dash}
        for colour, marker, dash in islice(kinds, count)
    ]


def _write_values(axes: Axes, values: Sequence[float]) -> None:
    for x, value in enumerate(values):
        if not np.isnan(value):
            axes.annotate(
                f"{value:.3f}", (x, value), (0, -14), textcoords="offset points", ha="center"
            )
