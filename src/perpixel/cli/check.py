"""`perpixel check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perpixel.cli.console import OUT

if TYPE_CHECKING:
    from perpixel.data.check.report import Report


def check(
    data: Annotated[Path, typer.Argument(help="The dataset folder.")],
    layout: Annotated[
        str | None, typer.Option(help="How the files are arranged; by default recognised.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything here too.", metavar="FILE")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with the worst pictures.", metavar="FILE"),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            help="Write a corrected copy into this new folder; DATA is never changed.",
            metavar="OUT",
        ),
    ] = None,
) -> None:
    """Look for what is wrong with a dataset before training does.

    Reads every image and mask once. Exit status 0: clean, 1: there are
    warnings, 2: there are errors, for which `perpixel train` refuses the data
    with the same words.

    --fix corrects what can mean one thing only: masks of colours, or of 0 and
    255, become class indices; so do indices that count from 1 or were
    stretched; masks are turned as their image's EXIF orientation says, and
    resized where one size is a whole multiple of the other. What cannot be
    used is left out of the copy, and listed.

    Example: perpixel check photographs --html check.html
    """
    from perpixel.cli.check_tables import fact_tables, finding_tables
    from perpixel.cli.progress import counting
    from perpixel.data.check.folder import check_folder

    with counting("reading") as progress:
        report = check_folder(data, layout, progress)
    for note in report.notes:
        OUT.print(note, soft_wrap=True)
    for table in (*fact_tables(report), *finding_tables(report)):
        OUT.print(table)
    counts = {severity: len(report.of(severity)) for severity in ("error", "warning", "note")}
    OUT.print(
        ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    )
    if json_file is not None:
        from perpixel.whole_file import write_text

        content = json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n"
        write_text(json_file, content)
        OUT.print(f"wrote {json_file}", soft_wrap=True)
    if html is not None:
        from perpixel.delivery.check_page import check_page
        from perpixel.whole_file import write_text

        write_text(html, check_page(report))
        OUT.print(f"wrote {html}", soft_wrap=True)
    if fix is not None:
        _fix(report, fix)
    raise typer.Exit(report.status)


def _fix(report: Report, out: Path) -> None:
    from perpixel.cli.check_tables import file_table
    from perpixel.cli.progress import counting
    from perpixel.data.check.repair import repair

    with counting("writing") as progress:
        done = repair(report, out, progress)
    if done.corrected:
        OUT.print(file_table("corrected in the copy", "how", done.corrected))
    if done.left_out:
        OUT.print(file_table("left out of the copy", "why", done.left_out))
    remaining = [(finding.kind, finding.message) for finding in done.remaining]
    if remaining:
        OUT.print(file_table("not corrected", "what", remaining))
    pairs = ", ".join(f"{count} in {split}" for split, count in done.written.items())
    OUT.print(f"wrote {out}: {pairs}", soft_wrap=True)
