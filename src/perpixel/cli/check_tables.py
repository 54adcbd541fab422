"""What a check found, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from perpixel.data.check.report import Report

# A split has as many sizes as images where nobody made them alike.
SIZES_SHOWN = 8
FILES_SHOWN, VALUES_SHOWN = 10, 6
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_TITLES = {
    "error": "errors: training is refused",
    "warning": "warnings",
    "note": "notes",
}


def fact_tables(report: Report) -> Iterator[Table]:
    """Pairs by split, the images' sizes and kinds, and the classes."""
    if report.labels is None or not report.splits:
        return
    pairs = Table("split", title=f"{report.root}: {report.layout}", title_justify="left")
    for name in ("images", "masks", "labelled pixels", "ignored", "unknown"):
        pairs.add_column(name, justify="right")
    for name, split in report.splits.items():
        labelled = int(split.pixels.sum())
        total = labelled + split.ignored + split.stranger_pixels
        pairs.add_row(
            name,
            f"{split.images:,}",
            f"{split.masks:,}",
            f"{labelled:,}",
            share(split.ignored, total),
            share(split.stranger_pixels, total),
        )
    yield pairs
    yield _images(report)
    yield _classes(report)
    yield from _unknown(report)


def finding_tables(report: Report) -> Iterator[Table]:
    """One table for each severity that occurs: what was found, and the mend."""
    for severity, title in _TITLES.items():
        findings = [finding for finding in report.findings if finding.severity == severity]
        if not findings:
            continue
        table = Table("what", title=title, title_justify="left", title_style=_STYLES[severity])
        table.add_column("found", overflow="fold", ratio=5)
        table.add_column("mend", overflow="fold", ratio=3)
        for finding in findings:
            expected = f"; expected {finding.expected}" if finding.expected else ""
            table.add_row(
                Text(finding.kind, style=_STYLES[severity]),
                Text(f"{finding.where}: {finding.found}{expected}"),
                Text(finding.mend),
            )
        yield table


def file_table(title: str, column: str, rows: Sequence[tuple[object, str]]) -> Table:
    """A row for each file, and what is to be said about it."""
    table = Table(title=title, title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column(column, overflow="fold")
    for file, text in rows:
        table.add_row(Text(str(file)), Text(text))
    return table


def share(part: int, whole: int) -> str:
    """A part as a percentage; a part of nothing is a dash."""
    return f"{100 * part / whole:.2f} %" if whole else "–"


def _images(report: Report) -> Table:
    table = Table("split", title="images", title_justify="left")
    table.add_column("width×height")
    table.add_column("images", justify="right")
    table.add_column("kind")
    table.add_column("images", justify="right")
    for name, split in report.splits.items():
        sizes = [(f"{width}×{height}", f"{n:,}") for (height, width), n in split.sizes.items()]
        if len(sizes) > SIZES_SHOWN:
            others = sum(list(split.sizes.values())[SIZES_SHOWN - 1 :])
            kinds_left = len(sizes) - SIZES_SHOWN + 1
            sizes = [*sizes[: SIZES_SHOWN - 1], (f"{kinds_left} other sizes", f"{others:,}")]
        kinds = [
            (f"{form}, {bands} band{'' if bands == 1 else 's'}, {dtype}", f"{n:,}")
            for (form, bands, dtype), n in split.kinds.items()
        ]
        for row in range(max(len(sizes), len(kinds), 1)):
            size = sizes[row] if row < len(sizes) else ("", "")
            kind = kinds[row] if row < len(kinds) else ("", "")
            table.add_row(name if row == 0 else "", *size, *kind)
    return table


def _classes(report: Report) -> Table:
    table = Table("value", "class", title="classes", title_justify="left")
    for name in report.splits:
        table.add_column(f"{name} pixels", justify="right")
        table.add_column("images", justify="right")
    assert report.labels is not None
    totals = {name: int(split.pixels.sum()) for name, split in report.splits.items()}
    for index, class_name in enumerate(report.labels.names):
        cells = []
        for name, split in report.splits.items():
            cells += [share(int(split.pixels[index]), totals[name])]
            cells += [f"{int(split.images_with[index]):,}"]
        table.add_row(str(index), Text(class_name), *cells)
    return table


def _unknown(report: Report) -> Iterator[Table]:
    """The masks with most pixels that are no class, and which values those have."""
    looks = [
        (look, look.mask)
        for some in report.looks.values()
        for look in some
        if look.mask is not None and look.mask.strangers
    ]
    if not looks:
        return
    looks.sort(key=lambda pair: -pair[1].stranger_pixels)
    table = Table("mask", title="mask values that are no class", title_justify="left")
    table.add_column("pixels", justify="right")
    table.add_column("values (pixels)", overflow="fold")
    for look, mask in looks[:FILES_SHOWN]:
        values = [f"{look.described(value)} ({n:,})" for value, n in mask.strangers[:VALUES_SHOWN]]
        more = ", …" if len(mask.strangers) > VALUES_SHOWN else ""
        name = Text(str(look.pair.mask_path), overflow="fold")
        table.add_row(name, f"{mask.stranger_pixels:,}", ", ".join(values) + more)
    if len(looks) > FILES_SHOWN:
        table.caption = f"and {len(looks) - FILES_SHOWN} more masks"
    yield table
