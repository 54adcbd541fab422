"""Several runs side by side, judged on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.delivery.report import figures
from perpixel.delivery.report.findings import Findings, Watch, look_at
from perpixel.delivery.report.gallery import Row, row
from perpixel.delivery.report.matrix import NUMBERED, matrix
from perpixel.delivery.report.page import render, score
from perpixel.delivery.report.run_folder import OpenRun, open_run
from perpixel.delivery.report.single import changed_settings, class_rows
from perpixel.errors import ConfigError
from perpixel.metrics.bootstrap import Interval, paired_bootstrap
from perpixel.whole_file import write_text

# Images that are shown, those over which the runs differ most.
SHOWN = 8


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several runs on the same images.

    Args:
        runs: what was found out of each, in the order given.
        intervals: for each run after the first its difference of mean IoU from the first.
    """

    runs: tuple[Findings, ...]
    intervals: tuple[Interval, ...]


def compare_runs(
    folders: Sequence[Path],
    *,
    split: str = "val",
    data: Path | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Comparison:
    """Examine runs on the images of one split.

    Args:
        folders: two run folders or more; differences are told from the first.
        split: the split to judge on.
        data: the dataset folder; None: where the runs' settings say, which must be one place.
        seed: of the bootstrap's draws.
        watch: told what is done and how far it is.

    Raises:
        ConfigError: there are fewer than two runs, or they differ in their classes or in the
            images that they are judged on.
        PerpixelError: a run or its data cannot be used.
    """
    # A run may be named first and once more by a pattern.
    first: dict[Path, Path] = {}
    for folder in folders:
        first.setdefault(folder.resolve(), folder)
    folders = [*first.values()]
    if len(folders) < 2:
        raise ConfigError(
            "compare",
            found=f"{len(folders)} run{'' if len(folders) == 1 else 's'}",
            expected="two or more",
            mend="Give the folders of two runs",
        )
    runs = [open_run(folder, split=split, data=data) for folder in folders]
    for other in runs[1:]:
        _check_alike(runs[0], other)
    looked = tuple(
        look_at(run, name, watch) for run, name in zip(runs, _names(folders), strict=True)
    )
    totals = [np.stack([image.totals for image in one.examination.images]) for one in looked]
    intervals = tuple(paired_bootstrap(totals[0], other, seed=seed) for other in totals[1:])
    return Comparison(looked, intervals)


def write_comparison(comparison: Comparison, html: Path, watch: Watch | None = None) -> None:
    """Write the page of a comparison.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(html, comparison_page(comparison, watch))


def comparison_page(comparison: Comparison, watch: Watch | None = None) -> str:
    """The page, as HTML that needs no other file and no network."""
    runs = comparison.runs
    labels = runs[0].run.model.labels
    trained = {
        one.name: [
            (epoch["seconds"] / 60, epoch["validation"]["mean_iou"] or 0.0)
            for epoch in one.run.epochs
        ]
        for one in runs
        if one.run.epochs
    }
    return render(
        "compare.html",
        runs=runs,
        labels=labels,
        intervals=[None, *comparison.intervals],
        classes=list(zip(*(class_rows(one) for one in runs), strict=True)),
        curves=figures.progress_curves(trained) if trained else None,
        trimap=figures.trimap(
            {one.name: (one.examination.boundary, one.examination.scores) for one in runs}
        ),
        by_size=figures.by_size({one.name: one.examination.sizes for one in runs}),
        reliability=figures.reliability({one.name: one.examination.calibration for one in runs}),
        matrices=[
            (one.name, matrix(one.examination.scores)) for one in runs if labels.classes <= NUMBERED
        ],
        settings=_differing_settings(runs),
        shown=_rows(runs, watch),
    )


def _check_alike(first: OpenRun, other: OpenRun) -> None:
    ours, theirs = first.model.labels, other.model.labels
    if (ours.names, ours.ignore_index) != (theirs.names, theirs.ignore_index):
        raise ConfigError(
            other.folder,
            found=f"other classes ({', '.join(theirs.names)})",
            expected=f"those of {first.folder}: {', '.join(ours.names)}",
            mend="Compare runs that tell the same classes apart",
        )
    if first.dataset.root.resolve() != other.dataset.root.resolve():
        raise ConfigError(
            other.folder,
            found=f"a {other.split} split in {other.dataset.root}",
            expected=f"that of {first.folder}, in {first.dataset.root}",
            mend="Give the data to judge all of them on, with --data",
        )
    # Other folds divide one folder in other ways, and another layout may find other masks in it.
    wanted, found = _files(first), _files(other)
    if wanted != found:
        alike = len(set(wanted) & set(found))
        raise ConfigError(
            other.folder,
            found=f"a {other.split} split of {len(found)} images, {alike} of them in that of "
            f"{first.folder}",
            expected=f"the same {len(wanted)} images, with the same masks",
            mend="Compare runs of one fold, or name a split that was not drawn, with --split",
        )


def _files(run: OpenRun) -> list[tuple[Path, Path | None]]:
    """The image and the mask of each pair, however the folder was named."""
    return [
        (pair.image.resolve(), pair.mask_path and pair.mask_path.resolve()) for pair in run.pairs
    ]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; where two are alike, their paths."""
    short = [folder.resolve().name for folder in folders]
    alike = len(set(short)) < len(short)
    return [str(folder) for folder in folders] if alike else short


def _differing_settings(runs: Sequence[Findings]) -> dict[str, list[str]]:
    """The settings that are not the same in all runs; "default" where one has not changed it."""
    changed = [changed_settings(one.run.config) for one in runs]
    names = dict.fromkeys(name for settings in changed for name in settings)
    rows = {name: [settings.get(name, "default") for settings in changed] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _rows(runs: Sequence[Findings], watch: Watch | None) -> list[Row]:
    """The images whose own mean IoU differs most between any two runs."""
    own = np.array([[image.mean_iou for image in one.examination.images] for one in runs])
    spread = np.ptp(own, axis=0)
    order: list[Any] = [index for index in np.argsort(-spread) if spread[index] > 0][:SHOWN]
    models = {one.name: one.run.model for one in runs}
    rows = []
    for index in order:
        notes = zip(models, own[:, index], strict=True)
        note = " · ".join(f"{name} {score(value)}" for name, value in notes)
        rows.append(row(models, runs[0].examination.images[index].pair, note))
        if watch is not None:
            watch("drawing", len(rows), len(order))
    return rows
