"""Check a folder: read everything once, and say all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.check.finding import FOLDER, Finding, sorted_findings
from perpixel.data.check.judge import judge
from perpixel.data.check.look import Progress, look_at_splits
from perpixel.data.check.report import Report, SplitReport
from perpixel.data.check.salvage import salvage
from perpixel.data.dataset import Dataset
from perpixel.data.layouts import open_dataset
from perpixel.errors import DataError


def check_folder(root: Path, layout: str | None = None, progress: Progress | None = None) -> Report:
    """Open a folder as `train` does and check it; what keeps it from opening is a finding too.

    A folder that does not open is read nevertheless, as far as its files can be paired and its
    classes are known.

    Args:
        root: the folder.
        layout: the name of its layout; None: it is recognised.
        progress: told (done, total) after each pair.

    Raises:
        ConfigError: there is no layout of this name.
        DataError: there is no such folder.
    """
    try:
        return check(open_dataset(root, layout), progress)
    except DataError as error:
        if not root.is_dir():
            raise
        saved, also = salvage(root)
        findings = [Finding.of_error(error, FOLDER)]
        findings += [one for one in also if one.message != str(error)]
        if saved is None:
            return Report(root, "", (), None, {}, tuple(findings), {})
        report = check(saved, progress)
        return Report(
            root,
            saved.layout,
            saved.notes,
            saved.labels,
            report.splits,
            sorted_findings([*findings, *report.findings]),
            report.looks,
        )


def check(dataset: Dataset, progress: Progress | None = None) -> Report:
    """Read all images and masks of a dataset once, and report.

    Args:
        dataset: which.
        progress: told (done, total) after each pair.
    """
    looks = look_at_splits(dataset.splits, dataset.labels, progress, decode=True)
    return Report(
        root=dataset.root,
        layout=dataset.layout,
        notes=dataset.notes,
        labels=dataset.labels,
        splits={split: SplitReport.of(some, dataset.labels) for split, some in looks.items()},
        findings=judge(looks, dataset.labels),
        looks=looks,
    )
