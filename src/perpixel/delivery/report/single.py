"""The report of one run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perpixel.delivery.report import figures
from perpixel.delivery.report.facts import versions
from perpixel.delivery.report.findings import Findings, Watch, look_at
from perpixel.delivery.report.gallery import Row, ranked, row
from perpixel.delivery.report.matrix import matrix, mistakes
from perpixel.delivery.report.page import render, score
from perpixel.delivery.report.run_folder import open_run
from perpixel.inference.examination import ExaminedImage
from perpixel.metrics.object_size import BUCKETS
from perpixel.training.config import TrainConfig
from perpixel.training.files import CONFIG, curves
from perpixel.whole_file import write_text

PAGE = "report.html"
# How many of the best images are shown, and of the worst.
SHOWN = 10


def write_report(
    folder: Path,
    html: Path | None = None,
    *,
    split: str = "val",
    data: Path | None = None,
    watch: Watch | None = None,
) -> Path:
    """Examine a run and write a page of it.

    Args:
        folder: the run folder.
        html: the file to write; None: `report.html` in the run folder.
        split, data: as in `open_run`.
        watch: told what is done and how far it is.

    Returns:
        where the page is.

    Raises:
        PerpixelError: the run or its data cannot be used, or the page not written.
    """
    findings = look_at(open_run(folder, split=split, data=data), watch=watch)
    place = html or folder / PAGE
    write_text(place, report_page(findings, watch))
    return place


def report_page(findings: Findings, watch: Watch | None = None) -> str:
    """The page, as HTML that needs no other file and no network."""
    run, examination = findings.run, findings.examination
    order = ranked(examination.images)
    # No image is among both, however few there are.
    half = len(order) // 2
    worst, best = order[half:][::-1][:SHOWN], order[:half][:SHOWN]
    rows = []
    for image in [*best, *worst]:
        rows.append(_row(findings, image))
        if watch is not None:
            watch("drawing", len(rows), len(best) + len(worst))
    name = findings.name
    return render(
        "report.html",
        found=findings,
        labels=run.model.labels,
        classes=list(class_rows(findings)),
        curves=curves(run.epochs, (5.2, 5.6)) if run.epochs else None,
        trimap=figures.trimap({name: (examination.boundary, examination.scores)}),
        by_size=figures.by_size({name: examination.sizes}),
        reliability=figures.reliability({name: examination.calibration}),
        matrix=matrix(examination.scores),
        mistakes=mistakes(examination.scores),
        buckets=BUCKETS,
        best=rows[: len(best)],
        worst=rows[len(best) :],
        again=_again(findings),
        changed=changed_settings(run.config),
        settings=run.config.as_yaml(),
        versions=versions(run),
    )


def class_rows(findings: Findings) -> Iterator[dict[str, Any]]:
    """For each class what the tables say of it."""
    scores, labels = findings.examination.scores, findings.run.model.labels
    judged = scores.pixels / max(int(scores.pixels.sum()), 1)
    seen = findings.trained_on
    trained = seen.pixels / max(int(seen.pixels.sum()), 1) if seen else None
    for index, (name, colour) in enumerate(zip(labels.names, labels.colours, strict=True)):
        yield {
            "name": name,
            "colour": colour,
            "iou": float(scores.iou[index]),
            "accuracy": float(scores.accuracy[index]),
            "dice": float(scores.dice[index]),
            "trained": float("nan") if trained is None else float(trained[index]),
            "judged": float(judged[index]),
        }


def changed_settings(config: TrainConfig) -> dict[str, str]:
    """The settings that are not the default's."""
    changed: dict[str, str] = {}
    for name, value in config.model_dump(mode="json").items():
        default = TrainConfig.model_fields[name].get_default(call_default_factory=True)
        plain = default.model_dump(mode="json") if hasattr(default, "model_dump") else default
        if value == plain or name in ("data", "out"):
            continue
        if isinstance(value, dict) and isinstance(plain, dict):
            inner = {key: one for key, one in value.items() if one != plain.get(key)}
            changed |= {f"{name}.{key}": str(one) for key, one in inner.items()}
        else:
            changed[name] = str(value)
    return changed


def _again(findings: Findings) -> str:
    """The command that trains the same once more."""
    run = findings.run
    out = run.folder.with_name(f"{run.folder.resolve().name}-again")
    return shlex.join(
        [
            *("perpixel", "train", str(run.dataset.root)),
            *("--config", str(run.folder / CONFIG), "--out", str(out)),
        ]
    )


def _row(findings: Findings, image: ExaminedImage) -> Row:
    model = {findings.name: findings.run.model}
    return row(model, image.pair, f"mean IoU {score(image.mean_iou)}")
