"""Scores as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from perpixel.delivery.report import Comparison
    from perpixel.inference.large.areas import ClassAreas
    from perpixel.metrics import Scores


def figure(value: float) -> str:
    """A score; one that is not defined is a dash, and not a zero."""
    return "–" if math.isnan(value) else f"{value:.4f}"


def class_table(scores: Scores) -> Table:
    """A row for each class."""
    table = Table("class", title="scores of each class", title_justify="left")
    for name in ("IoU", "accuracy", "Dice", "pixels"):
        table.add_column(name, justify="right")
    rows = zip(
        scores.labels.names, scores.iou, scores.accuracy, scores.dice, scores.pixels, strict=True
    )
    for name, iou, accuracy, dice, pixels in rows:
        table.add_row(Text(name), figure(iou), figure(accuracy), figure(dice), f"{int(pixels):,}")
    return table


def mean_table(scores: Scores) -> Table:
    """The paper's four scores, and Dice."""
    table = Table("score", "value", title="scores of the split", title_justify="left")
    for name, value in (
        ("mean IoU", scores.mean_iou),
        ("pixel accuracy", scores.pixel_accuracy),
        ("mean accuracy", scores.mean_accuracy),
        ("frequency-weighted IoU", scores.frequency_weighted_iou),
        ("mean Dice", scores.mean_dice),
    ):
        table.add_row(name, figure(value))
    return table


def area_table(areas: ClassAreas, title: str) -> Table:
    """A row for each class: its pixels, its share, and its hectares where they can be told."""
    head, *rows = areas.table()
    table = Table(head[0], title=Text(title), title_justify="left")
    for name in head[1:]:
        table.add_column(name, justify="right")
    for name, pixels, *others in rows:
        table.add_row(Text(name), f"{int(pixels):,}", *others)
    return table


def stage_table(scores: Mapping[str, Scores]) -> Table:
    """A row for each network: its mean IoU, and the IoU of every class."""
    table = Table("network", title="IoU on the validation scenes", title_justify="left")
    table.add_column("mean", justify="right", style="bold")
    for name in next(iter(scores.values())).labels.names:
        table.add_column(Text(name), justify="right")
    for name, of_stage in scores.items():
        table.add_row(name, figure(of_stage.mean_iou), *(figure(iou) for iou in of_stage.iou))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """A row for each run, and how far it is from the first."""
    table = Table("run", title="runs on the same images", title_justify="left")
    for name in ("mean IoU", "difference", "95 % interval", "ms an image"):
        table.add_column(name, justify="right", no_wrap=True)
    for one, interval in zip(comparison.runs, [None, *comparison.intervals], strict=True):
        told = ("", "")
        if interval is not None:
            ends = (interval.low, interval.high)
            told = (_signed(interval.difference), " to ".join(map(_signed, ends)))
        table.add_row(
            Text(one.name, overflow="fold"),
            figure(one.examination.scores.mean_iou),
            *told,
            f"{one.facts.milliseconds:.1f}",
        )
    return table


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.4f}"
