"""`perpixel evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.dataset_options import Fold, Folds, Layout
from perpixel.cli.model_argument import AnyModel
from perpixel.cli.runtime_options import PrecisionByModel, RuntimeByModel
from perpixel.cli.tile_options import Halo, Memory, Tile, tiling_of


def evaluate(
    model: AnyModel,
    data: Annotated[Path, typer.Argument(help="The dataset folder.")],
    split: Annotated[str, typer.Option(help="Which split to score.")] = "val",
    layout: Layout = None,
    folds: Folds = None,
    fold: Fold = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores here too.", metavar="FILE")
    ] = None,
    scales: Annotated[
        list[float] | None,
        typer.Option(help="Average the predictions at these sizes.", metavar="S S …"),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirrored image's prediction.")
    ] = False,
    runtime: RuntimeByModel = None,
    precision: PrecisionByModel = None,
    tile: Tile = "auto",
    memory: Memory = None,
    halo: Halo = None,
) -> None:
    """Score a model on a split of a dataset.

    The paper's four scores and Dice, at each image's own size. A model is
    computed by torch in fp32 unless something else is asked for, and the scores
    are training's own, to the last digit; an export by what it was made for.

    Example: perpixel evaluate runs/a/model.safetensors photographs --flip
    """
    from perpixel.cli.progress import counting
    from perpixel.cli.tables import class_table, mean_table
    from perpixel.data import division
    from perpixel.data.layouts import open_dataset
    from perpixel.inference import evaluation
    from perpixel.inference.predictor import load
    from perpixel.inference.runtimes.selection import EXPORTS
    from perpixel.whole_file import write_whole

    tiling = tiling_of(tile, memory, halo)
    as_trained = Path(model).suffix.lower() not in EXPORTS
    runtime = runtime or ("torch" if as_trained else "auto")
    precision = precision or ("fp32" if as_trained else "auto")
    loaded = load(model, runtime=runtime, precision=precision)
    dataset = open_dataset(data, layout, division.Folds.of(folds, fold))
    differing = evaluation.compare_classes(loaded.labels, dataset)
    for line in (f"layout {dataset.layout}", *dataset.notes, *filter(None, [differing])):
        OUT.print(line, soft_wrap=True)
    pairs = dataset.split(split)
    if (runtime, precision) != ("torch", "fp32"):
        OUT.print(f"computed by {loaded.choice}", soft_wrap=True)
    with counting("evaluating") as progress:
        scores = evaluation.evaluate(
            loaded,
            pairs,
            scales=tuple(scales or (1.0,)),
            flip=flip,
            tiling=tiling,
            progress=progress,
        )
    OUT.print(class_table(scores))
    OUT.print(mean_table(scores))
    if json_file is not None:
        write_whole(json_file, (json.dumps(scores.as_json(), indent=2) + "\n").encode())
        OUT.print(f"wrote {json_file}", soft_wrap=True)
