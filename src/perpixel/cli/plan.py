"""`perpixel plan`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.dataset_options import Layout


def plan(
    data: Annotated[Path, typer.Argument(help="The dataset folder.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the settings here, to edit and to train with."),
    ] = None,
    layout: Layout = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="A wall-clock budget to plan for.", min=0.01)
    ] = None,
) -> None:
    """Say how training would go about a dataset, and why.

    These are the settings that `perpixel train` chooses by itself.
    Written to a file, they can be changed and given to it.

    Example: perpixel plan photographs --out plan.yaml
    """
    from rich.table import Table

    from perpixel import training
    from perpixel.cli.progress import counting

    with counting("reading") as progress:
        planned = training.plan(data, layout=layout, minutes=minutes, progress=progress)
    OUT.print(f"layout: {planned.layout}", markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "why"):
        table.add_column(heading, overflow="fold")
    for choice in planned.choices:
        table.add_row(choice.setting.replace("_", " "), choice.shown, choice.why)
    height, width = planned.largest
    told = f"the largest training image is {height}×{width}"
    table.add_row("evaluation", "whole images", f"each at its own size; {told}")
    OUT.print(table)
    if out is not None:
        training.write_recipe(out, planned.choices, layout=layout, minutes=minutes)
        command = shlex.join(["perpixel", "train", str(data), "--config", str(out), "--out", "RUN"])
        OUT.print(command, soft_wrap=True, markup=False)
