"""What is shown while images of any size are predicted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from perpixel.cli.console import OUT

if TYPE_CHECKING:
    from perpixel.inference.large.prediction import Progress as Tiles

Images = Callable[[int, int], None]
Watch = Callable[[Path, "Tiles"], None]
STAGES = {"tiles": "tiles", "file": "rows written"}


@contextmanager
def predicting() -> Iterator[tuple[Images, Watch]]:
    """A bar for `progress(done, total)` of images, and below it, while an image is predicted in
    tiles, one for `watch(image, tiles)`, with megapixels a second and the time that is left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=OUT, transient=True) as bar:
        images = bar.add_task("predicting", total=None, speed="")
        tasks: dict[tuple[Path, str], TaskID] = {}
        begun: dict[Path, float] = {}

        def progress(done: int, total: int) -> None:
            for task in tasks.values():
                bar.remove_task(task)
            tasks.clear()
            bar.update(images, completed=done, total=total)

        def watch(image: Path, tiles: Tiles) -> None:
            key = image, tiles.stage
            if key not in tasks:
                for task in tasks.values():
                    bar.remove_task(task)
                tasks.clear()
                what = f"{image.name}: {STAGES[tiles.stage]}"
                # What an earlier run has done says nothing of how long the rest will take.
                tasks[key] = bar.add_task(what, total=tiles.total, completed=tiles.done, speed="")
                begun.setdefault(image, time.monotonic())
            seconds = time.monotonic() - begun[image]
            speed = f"{tiles.pixels / 1e6 / seconds:.1f} MP/s" if tiles.pixels and seconds else ""
            bar.update(tasks[key], completed=tiles.done, speed=speed)

        yield progress, watch
