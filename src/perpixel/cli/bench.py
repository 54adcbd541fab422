"""`perpixel bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perpixel.cli.console import OUT
from perpixel.cli.model_argument import MODEL
from perpixel.cli.sizes import pixels

if TYPE_CHECKING:
    from rich.table import Table

    from perpixel.inference.speed import Candidate, Images, Speed

SIZE = "512x512"
MEBIBYTE = 1 << 20


def bench(
    models: Annotated[
        list[str], typer.Argument(help=f"{MODEL}; behind it, exports of the same model.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images, or one image; without it one is drawn."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help=f"Of the drawn image; else {SIZE}.", metavar="HxW")
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="At most so many of the folder's images, evenly spread.")
    ] = 8,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="How long each is measured, once it is warm.")
    ] = 3.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers here too.", metavar="FILE")
    ] = None,
) -> None:
    """Measure a model in every runtime that is installed.

    From an image's pixels to its mask, each runtime and precision in a process
    of its own: the median time, images a second, the most memory, and the share
    of pixels with the class that the first one, torch in fp32, gives them.

    Example: perpixel bench runs/a/model.safetensors --images new
    """
    import json

    from perpixel.cli.progress import stages
    from perpixel.distribution.model_file import model_file
    from perpixel.inference.runtimes.packages import INSTALL
    from perpixel.inference.speed import compare_speed
    from perpixel.whole_file import write_whole

    shown = _images(images, size, most)
    with stages() as watch:

        def told(candidate: Candidate, done: int, total: int) -> None:
            watch("measuring", done, total)

        speed = compare_speed(
            [model_file(model) for model in models], shown, seconds=seconds, watch=told
        )
    OUT.print(_table(speed, shown, several=len(models) > 1))
    OUT.print(f"auto takes {speed.auto}", soft_wrap=True)
    for one in speed.measured:
        if one.failure:
            OUT.print(one.failure, soft_wrap=True)
    if speed.missing:
        OUT.print(f"not installed: {', '.join(speed.missing)} ({INSTALL})", soft_wrap=True)
    if json_file is not None:
        write_whole(json_file, (json.dumps(_as_json(speed, shown), indent=2) + "\n").encode())
        OUT.print(f"wrote {json_file}", soft_wrap=True)


def _images(folder: Path | None, size: str | None, most: int) -> Images:
    from perpixel.errors import ConfigError
    from perpixel.inference.inputs import expand
    from perpixel.inference.speed import Images

    if folder is None:
        return Images(size=pixels(size or SIZE))
    if size is not None:
        raise ConfigError(
            "--size",
            found=f"{size}, and --images {folder}",
            expected="one of the two",
            mend="Leave --size out: images are predicted at their own sizes",
        )
    # No result is written anywhere, so there is no folder of results to leave out.
    files = [image.path for image in expand([folder], folder / ".none")]
    step = max(1, len(files) / most)
    return Images(tuple(files[int(place * step)] for place in range(min(most, len(files)))))


def _table(speed: Speed, images: Images, several: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    from perpixel.machine import processor

    height, width = images.size
    what = f"{len(images.files)} images" if images.files else f"a drawn image of {height}×{width}"
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    title = f"from pixels to mask, {what}; {processor()}, {threads}"
    table = Table(title=Text(title), title_justify="left")
    if several:
        table.add_column("file", overflow="fold")
    table.add_column("runtime")
    table.add_column("precision")
    for name in ("ms", "images/s", "MiB", "equal pixels"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    first, auto = speed.measured[0].candidate.model, (speed.auto.runtime, speed.auto.precision)
    for one in speed.measured:
        candidate, timing = one.candidate, one.timing
        figures = ["–"] * 4
        if timing is not None:
            peak = timing.peak_bytes
            figures = [
                f"{timing.milliseconds:.1f}",
                f"{timing.images_per_second:.1f}",
                "–" if peak is None else f"{peak / MEBIBYTE:,.0f}",
                f"{100 * one.agreement:.2f} %",
            ]
        taken = (candidate.runtime, candidate.precision) == auto and candidate.model == first
        table.add_row(
            *([Text(str(candidate.model))] if several else []),
            candidate.runtime,
            candidate.precision,
            *figures,
            "← auto" if taken else "",
        )
    return table


def _as_json(speed: Speed, images: Images) -> dict[str, Any]:
    from perpixel.machine import processor

    rows = []
    for one in speed.measured:
        timing = one.timing
        rows.append(
            {
                "model": str(one.candidate.model),
                "runtime": one.candidate.runtime,
                "precision": one.candidate.precision,
                "milliseconds": timing and timing.milliseconds,
                "images_per_second": timing and timing.images_per_second,
                "peak_bytes": timing and timing.peak_bytes,
                "agreement": timing and one.agreement,
                "failure": one.failure or None,
            }
        )
    return {
        "processor": processor(),
        "threads": speed.threads,
        "images": [str(file) for file in images.files],
        "size": None if images.files else list(images.size),
        "auto": {
            "runtime": speed.auto.runtime,
            "precision": speed.auto.precision,
            "reason": speed.auto.reason,
        },
        "measured": rows,
    }
