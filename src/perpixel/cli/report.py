"""`perpixel report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run of `perpixel train`.")],
    html: Annotated[
        Path | None,
        typer.Option(help="The page to write; by default RUN/report.html.", metavar="FILE"),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split to judge the model on.")] = "val",
    data: Annotated[
        Path | None,
        typer.Option(help="The dataset folder, where it is not where the run found it."),
    ] = None,
) -> None:
    """Write a page about a run: one HTML file that needs no other.

    Curves, the scores and those of each class, confusions, edges, sizes of
    objects, calibration, the best and worst images, speed and size, settings.

    Example: perpixel report runs/a --html report.html
    """
    from perpixel.cli.progress import stages
    from perpixel.delivery.report import write_report

    with stages() as watch:
        page = write_report(run, html, split=split, data=data, watch=watch)
    OUT.print(f"wrote {page}", soft_wrap=True)
