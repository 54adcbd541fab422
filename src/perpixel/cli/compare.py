"""`perpixel compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders; differences are told from the first.")
    ],
    html: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = Path(
        "comparison.html"
    ),
    split: Annotated[str, typer.Option(help="Which split to judge the models on.")] = "val",
    data: Annotated[
        Path | None,
        typer.Option(help="The dataset folder; by default where the runs found it."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the images that are drawn anew.")] = 0,
) -> None:
    """Compare runs on the same images, on a page and in a table.

    With a 95 % interval for each difference of mean IoU: a paired bootstrap
    over the images.

    Example: perpixel compare runs/a runs/b --html comparison.html
    """
    from perpixel.cli.progress import stages
    from perpixel.cli.tables import comparison_table
    from perpixel.delivery.report import compare_runs, write_comparison

    with stages() as watch:
        comparison = compare_runs(runs, split=split, data=data, seed=seed, watch=watch)
        write_comparison(comparison, html, watch)
    OUT.print(comparison_table(comparison))
    OUT.print(f"wrote {html}", soft_wrap=True)
