"""Repair: a corrected copy of a dataset, where only one correction is possible."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from PIL import Image

from perpixel.data.check.correction import Correction, NotUsableError, correction
from perpixel.data.check.finding import FOLDER, Finding
from perpixel.data.check.look import Progress
from perpixel.data.check.report import Report
from perpixel.data.check.unreadable import UNREADABLE_MASK
from perpixel.data.check.values import read_values
from perpixel.data.decode import read_image
from perpixel.data.header import read_file
from perpixel.data.inside import LABELME_IMAGE
from perpixel.errors import ConfigError, DataError, OutputError
from perpixel.labels import LabelSpace

CLASSES = "classes.yaml"


@dataclass(frozen=True)
class Repair:
    """What became of a dataset's files in the copy.

    Args:
        folder: the copy, in the layout of split folders.
        written: how many pairs each split of it has.
        corrected: (file of the original, what was done), in the order of the dataset.
        left_out: (image of the original, why it is not in the copy).
        remaining: errors and warnings about the original that the copy still has.
    """

    folder: Path
    written: Mapping[str, int]
    corrected: tuple[tuple[Path, str], ...]
    left_out: tuple[tuple[Path, str], ...]
    remaining: tuple[Finding, ...]


def repair(report: Report, out: Path, progress: Progress | None = None) -> Repair:
    """Write a copy of a checked dataset with what can be corrected corrected.

    Corrected is what has one meaning only; `correction` lists it. A pair that cannot be used even
    so is left out. Everything else is copied as it is. The original is only read.

    Args:
        report: of the dataset, as `check` made it.
        out: a folder that is not there yet, or empty; not inside the dataset.
        progress: told (done, total) after each pair.

    Raises:
        DataError: the classes are not known, or no pair can be used.
        ConfigError: `out` holds something, or lies inside the dataset.
        OutputError: it cannot be written; nothing is left behind.
    """
    labels = _usable(report, out)
    reading = read_values([look for some in report.looks.values() for look in some], labels)
    encoding = None if reading is None else reading.encoding
    plans: list[tuple[str, Correction]] = []
    left_out: list[tuple[Path, str]] = []
    for split, looks in report.looks.items():
        labelled = any(look.pair.mask is not None for look in looks)
        for look in looks:
            try:
                plans.append((split, correction(look, labels, encoding, labelled)))
            except NotUsableError as why:
                left_out.append((look.pair.image, str(why)))
    if not plans:
        mend = "Mend the files that the check names, and check again"
        raise DataError(report.root, found="no pair that can be used", mend=mend)
    names = _names(plans)
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _write_all(plans, names, partial, labels, progress)
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        mend = "Give a folder that can be written, with room for the data"
        found = f"cannot be written ({error.strerror})"
        raise OutputError(out, found=found, mend=mend) from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    written: dict[str, int] = {}
    for split, _ in plans:
        written[split] = written.get(split, 0) + 1
    corrected = [done for _, plan in plans for done in plan.said]
    kept = {str(path) for _, plan in plans for path in plan.files}
    # A mask that cannot be read as it is is left out with its pair, or is grey and was corrected.
    remaining = [
        finding
        for finding in (*report.of("error"), *report.of("warning"))
        if finding.kind == FOLDER
        or (
            not finding.correctable
            and finding.kind != UNREADABLE_MASK
            and (not finding.files or kept & set(finding.files))
        )
    ]
    return Repair(out, written, tuple(corrected), tuple(left_out), tuple(remaining))


def _usable(report: Report, out: Path) -> LabelSpace:
    if report.labels is None:
        raise DataError(
            report.root,
            found="a dataset whose classes are not known",
            mend="Mend what keeps it from being opened first",
        )
    if out.resolve().is_relative_to(report.root.resolve()):
        raise ConfigError(
            out,
            found="a folder inside the dataset",
            expected="another place: the original is not changed",
            mend="Name a folder outside of it",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(out, found="is there already", mend="Name a new folder, or empty it")
    return report.labels


def _names(plans: Sequence[tuple[str, Correction]]) -> list[str]:
    """A stem for each pair that no other pair of its split has, in upper or lower case."""
    taken: set[tuple[str, str]] = set()
    names = []
    for split, plan in plans:
        image = plan.look.pair.image
        stem = name = image.parent.stem if image.name == LABELME_IMAGE else image.stem
        number = 2
        while (split, name.casefold()) in taken:
            name = f"{stem}_{number}"
            number += 1
        taken.add((split, name.casefold()))
        names.append(name)
    return names


def _write_all(
    plans: Sequence[tuple[str, Correction]],
    names: Sequence[str],
    folder: Path,
    labels: LabelSpace,
    progress: Progress | None,
) -> None:
    for split, plan in plans:
        (folder / split / "images").mkdir(parents=True, exist_ok=True)
        if plan.look.pair.mask is not None:
            (folder / split / "masks").mkdir(exist_ok=True)

    def write(task: tuple[tuple[str, Correction], str]) -> None:
        (split, plan), name = task
        _write_image(plan, folder / split / "images", name)
        if plan.look.pair.mask is not None:
            _write_mask(plan, folder / split / "masks", name, labels)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            tasks = zip(plans, names, strict=True)
            for done, _ in enumerate(pool.map(write, tasks), 1):
                if progress is not None:
                    progress(done, len(plans))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    classes = [
        {"name": name, "color": list(colour)}
        for name, colour in zip(labels.names, labels.colours, strict=True)
    ]
    document = {"classes": classes, "ignore_index": labels.ignore_index}
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, allow_unicode=True)
    (folder / CLASSES).write_text(text, encoding="utf-8")


def _write_image(plan: Correction, folder: Path, name: str) -> None:
    image = plan.look.pair.image
    if not plan.turn_image:
        (folder / f"{name}{plan.suffix}").write_bytes(read_file(image))
        return
    pixels = read_image(image)
    grey = pixels.shape[0] == 1
    picture = Image.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0))
    picture.save(folder / f"{name}.png")


def _write_mask(plan: Correction, folder: Path, name: str, labels: LabelSpace) -> None:
    stored = plan.look.pair.mask
    if not plan.write_mask and isinstance(stored, Path):
        (folder / f"{name}.png").write_bytes(read_file(stored))
        return
    mask = plan.read_mask(labels)
    picture = Image.fromarray(mask)
    if mask.dtype.itemsize == 1:
        # Indices in colours that a viewer shows.
        picture.putpalette(labels.colour_table().tobytes())
    picture.save(folder / f"{name}.png")
