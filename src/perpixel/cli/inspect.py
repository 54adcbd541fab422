"""`perpixel inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.sizes import pixels

if TYPE_CHECKING:
    from fractions import Fraction

    from rich.table import Table

    from perpixel.checkpoint import Checkpoint
    from perpixel.networks.inspection import Inspection
    from perpixel.networks.receptive_field import ReceptiveField

CLASSES = 21


def inspect(
    network: Annotated[
        str,
        typer.Argument(
            help="A network's name, such as fcn8s-vgg16, or a MODEL as `predict` takes."
        ),
    ],
    size: Annotated[str, typer.Option(help="The image's size.", metavar="HxW")] = "512x512",
    classes: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help=f"How many classes a named network scores; else {CLASSES}."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers here too.", metavar="FILE")
    ] = None,
) -> None:
    """Show a network's arithmetic, layer by layer.

    Output shapes, parameters, multiply-adds, strides, and which pixels a cell
    sees; then the grid, and the halo that tiles need to score as the whole. Of a
    model also how its weights are stored, what it scored, and its licence.

    Example: perpixel inspect fcn8s-vgg16 --size 500x500
    """
    import json

    import torch

    from perpixel.checkpoint import read_checkpoint
    from perpixel.errors import ConfigError
    from perpixel.networks import build, inspection, network_config
    from perpixel.whole_file import write_whole

    file = _file(network, classes)
    model = read_checkpoint(file) if file else None
    config = (
        model.network if model else network_config({"name": network, "classes": classes or CLASSES})
    )
    with torch.device("meta"):  # shapes are enough, and VGG16 has half a gigabyte of weights
        built = build(config)
    try:
        seen = inspection.inspect(built, pixels(size), bands=config.bands)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            network,
            found=f"its arithmetic cannot be followed ({' '.join(str(error).split())[:200]})",
            mend="Inspect a network with a convolutional backbone, or give a larger --size",
        ) from None
    OUT.print(_layers(seen))
    OUT.print(_totals(seen))
    if file is not None and model is not None:
        OUT.print(_about(file, model))
    if json_file is not None:
        write_whole(json_file, (json.dumps(seen.as_json(), indent=2) + "\n").encode())
        OUT.print(f"wrote {json_file}", soft_wrap=True)


def _file(network: str, classes: int | None) -> Path | None:
    """The model's file; None where it is a network's name."""
    import difflib
    from typing import get_args

    from perpixel.distribution.included import included
    from perpixel.distribution.model_file import HUB, model_file
    from perpixel.errors import ConfigError
    from perpixel.networks import NetworkName

    names = get_args(NetworkName)
    if network in names:
        return None
    if not (network in included() or network.startswith(HUB) or network.endswith(".safetensors")):
        every = [*names, *included()]
        close = difflib.get_close_matches(network, every, n=3) or every
        raise ConfigError(
            network,
            found="no network and no model that comes along has this name, and no model file "
            "ends so",
            expected=f"a name such as {', '.join(close)}, a .safetensors file, or {HUB}owner/name",
            mend="Give one of these",
        )
    if classes is not None:
        raise ConfigError(
            "--classes",
            found=str(classes),
            mend=f"Leave it out: {network} says itself how many classes it scores",
        )
    return model_file(network)


def _about(file: Path, model: Checkpoint) -> Table:
    """What only a model has, and a network without weights has not."""
    from rich.table import Table
    from rich.text import Text

    from perpixel.distribution.included import card_of
    from perpixel.distribution.publication import licence_of

    scores = model.provenance.get("validation") or {}
    mean_iou, card = scores.get("mean_iou"), card_of(file)
    table = Table(title="the model", title_justify="left", show_header=False)
    for title, value in (
        ("file", f"{file}, {file.stat().st_size / 1e6:.1f} MB"),
        ("weights", f"stored as {model.stored}"),
        ("classes", ", ".join(model.labels.names)),
        ("mean IoU in validation", "not scored" if mean_iou is None else f"{mean_iou:.4f}"),
        ("licence of the weights", licence_of(model) or "not stated"),
        *([("card", str(card))] if card else []),
    ):
        table.add_row(title, Text(value, overflow="fold"))
    return table


def _layers(seen: Inspection) -> Table:
    from rich.table import Table
    from rich.text import Text

    height, width = seen.size
    table = Table("layer", title=f"layers, for an image of {height}×{width}", title_justify="left")
    for name in ("output", "parameters", "multiply-adds", "stride", "sees", "centre of cell 0"):
        table.add_column(name, justify="right")
    for layer in seen.layers:
        table.add_row(
            Text(layer.name, overflow="fold"),
            "×".join(map(str, layer.shape[1:])),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            *_field(layer.field),
        )
    return table


def _field(field: ReceptiveField | None) -> tuple[str, str, str]:
    if field is None:
        return "–", "all", "–"
    return _both(*field.stride), _both(*field.size), _both(*field.centre)


def _both(rows: float | Fraction, columns: float | Fraction) -> str:
    """Rows and columns; once where they are the same."""
    first, second = (f"{float(number):.10g}" for number in (rows, columns))
    return first if rows == columns else f"{first}×{second}"


def _totals(seen: Inspection) -> Table:
    from rich.table import Table
    from rich.text import Text

    stride, size, centre = _field(seen.cell)
    layer = seen.tiling.whole_image_layer
    table = Table(title="the whole network", title_justify="left", show_header=False)
    for name, value in (
        ("parameters", f"{seen.parameters:,}"),
        ("multiply-adds", f"{seen.multiply_adds:,}"),
        ("stride of the scores", f"{stride} pixel" if stride == "1" else f"{stride} pixels"),
        ("a cell sees", f"{size} pixels"),
        ("centre of cell 0", f"{centre} pixels from the edge"),
        ("grid", f"{seen.tiling.grid} pixels"),
        ("halo of a tile", f"{seen.tiling.halo} pixels"),
        ("exact in tiles", "yes" if layer is None else f"no: {layer} looks at the whole image"),
    ):
        table.add_row(name, Text(value, overflow="fold"))
    return table
