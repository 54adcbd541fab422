"""`perpixel explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.model_argument import TrainedModel


def explain(
    model: TrainedModel,
    image: Annotated[Path, typer.Argument(help="The image whose prediction is explained.")],
    out: Annotated[Path, typer.Option(help="The folder to write pictures into.")] = Path(
        "explained"
    ),
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", help="Draw this class's heat map only; repeatable.", metavar="NAME"
        ),
    ] = None,
    pixel: Annotated[
        str | None,
        typer.Option(help="The pixel to explain; else the middle one.", metavar="X,Y"),
    ] = None,
) -> None:
    """Draw why a model says what it says about an image.

    heat_maps.png: each class's probability in the network's coarse cells.
    certainty.png: the winner's probability and margin. skips.png: the mask at
    stride 32, 16, 8 and 4, and what each skip changed. pixel.png: what one
    pixel can see, what it looks at, and the evidence for and against its
    class. upsampling.png: the kernels, bilinear beside learned.

    Example: perpixel explain runs/a/model.safetensors street.jpg --pixel 320,200
    """
    place = None if pixel is None else _place(pixel)

    from perpixel.cli.progress import counting
    from perpixel.delivery.explain import explain as explain_image
    from perpixel.inference.predictor import load

    loaded = load(model, runtime="torch", precision="fp32")
    with counting("explaining") as progress:
        explained = explain_image(
            loaded, image, classes=classes or None, place=place, progress=progress
        )
    for path in explained.save(out):
        OUT.print(f"wrote {path}", soft_wrap=True)
    for name, reason in explained.left_out.items():
        OUT.print(f"left out {name}.png: {reason}", soft_wrap=True)


def _place(pixel: str) -> tuple[int, int]:
    from perpixel.errors import ConfigError

    parts = [part.strip() for part in pixel.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(
            "--pixel", found=pixel, expected="X,Y such as 320,200", mend="Give two whole numbers"
        )
    return int(parts[0]), int(parts[1])
