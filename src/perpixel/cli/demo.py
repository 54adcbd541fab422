"""`perpixel demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT


def demo(
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other scenes.")] = 0,
) -> None:
    """Draw scenes, train four networks on them, and compare.

    Needs no data and no download. FCN-32s, 16s, 8s and 4s are trained in
    stages, as in the paper. Leaves the scenes as a dataset folder (OUT/data),
    the four runs (OUT/fcn32s …) and a picture of the predictions side by side
    (OUT/demo.png).

    Example: perpixel demo --seed 3
    """
    from perpixel.cli.progress import TrainingDisplay
    from perpixel.cli.tables import stage_table
    from perpixel.delivery.demo import run_demo

    result = run_demo(out, seed, TrainingDisplay)
    OUT.print(stage_table(result.scores))
    OUT.print(f"wrote {result.picture}", soft_wrap=True)
