"""`perpixel heatmap`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT


def heatmap(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    name: Annotated[str, typer.Option("--class", help="An ImageNet class, such as 'tabby cat'.")],
    classifier: Annotated[
        str,
        typer.Option(help="A timm classifier; the default's weights are installed."),
    ] = "efficientnet_lite0",
    out: Annotated[Path, typer.Option(help="The picture to write.", metavar="FILE")] = Path(
        "heatmap.png"
    ),
) -> None:
    """Show where a plain ImageNet classifier sees a class.

    Its fully connected layer becomes a convolution, so that it classifies a
    window around every cell of a grid. No segmentation was ever trained.

    Example: perpixel heatmap cat.jpg --class "tabby cat" --out cat_heatmap.png
    """
    from perpixel.delivery.explain import location_map
    from perpixel.delivery.explain.sheet import as_png
    from perpixel.whole_file import write_whole

    with OUT.status("classifying"):
        figure = location_map(image, name, classifier=classifier)
    write_whole(out, as_png(figure))
    OUT.print(f"wrote {out}", soft_wrap=True)
