"""`perpixel runs`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.tables import figure


def runs(
    folder: Annotated[
        Path, typer.Argument(help="The folder that the run folders are in.", metavar="[DIR]")
    ] = Path(),
) -> None:
    """List runs: data, network, budget, best score, and how far each is.

    All of it is read from the run folders themselves, in DIR and up to two
    levels below.

    Example: perpixel runs runs
    """
    from rich.table import Table
    from rich.text import Text

    from perpixel.training.runs import runs_in

    found = runs_in(folder)
    if not found:
        OUT.print(f"no runs in {folder}", soft_wrap=True, markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "data", "network", "budget"):
        table.add_column(heading, overflow="fold")
    table.add_column("best mean IoU", justify="right")
    table.add_column("time", justify="right")
    table.add_column("state", overflow="fold")
    for each in found:
        name = (
            each.folder.resolve().name if each.folder == folder else each.folder.relative_to(folder)
        )
        table.add_row(
            *(Text(text) for text in (str(name), each.data, each.network, each.budget)),
            figure(each.best),
            str(timedelta(seconds=round(each.seconds))),
            each.state,
        )
    OUT.print(table)
