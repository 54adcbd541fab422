"""Prediction of an image of any size: read by windows, scored by tiles, written behind; what an
interrupted run has finished is taken up by the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perpixel.errors import OutputError
from perpixel.inference.large.areas import AreaCount, ClassAreas
from perpixel.inference.large.large_image import LargeImage, Mask
from perpixel.inference.large.mask_file import MaskFormat, check_format, write_mask_file
from perpixel.inference.large.unfinished import Unfinished
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import WRITE_BEHIND, Tiling
from perpixel.inference.tiles.tiled import Disagreement


@dataclass(frozen=True)
class Progress:
    """How far a prediction is.

    Args:
        stage: "tiles", and then "file", when the mask is put together.
        done, total: tiles, or rows of the file.
        pixels: of the image that this run has predicted so far.
    """

    stage: str
    done: int
    total: int
    pixels: int


@dataclass(frozen=True)
class LargePrediction:
    """What became of a large image.

    Args:
        path: of the mask.
        size: (H, W).
        tiles: how many there were; 1 where the image was predicted whole.
        tile: height and width of a tile.
        taken_up: how many of them an earlier run had finished.
        areas: of the classes.
        approximate: why the tiles differ from the whole image, in words; None where they do not.
        disagreement: how far they are from exact tiles, where a smaller halo was asked for.
    """

    path: Path
    size: tuple[int, int]
    tiles: int
    tile: tuple[int, int]
    taken_up: int
    areas: ClassAreas
    approximate: str | None
    disagreement: Disagreement | None = None


def predict_large(
    model: Model,
    image: str | Path,
    out: str | Path,
    *,
    format: MaskFormat = "geotiff",
    tiling: Tiling | None = None,
    min_confidence: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
) -> LargePrediction:
    """Predict an image tile by tile into a file. Where tiles are exact, the mask is that of the
    whole image.

    Pixels that the image says were not measured get the ignore index; the network sees there what
    it sees beyond the image. While it is at work, two hidden files lie beside `out`; if it is
    interrupted, the next call with the same arguments goes on from them, and the mask is the same
    to the last byte. `out` appears when it is whole.

    Args:
        model: what predicts.
        image: a GeoTIFF or another raster, a `.npy` file, or an ordinary image.
        out: the file of the mask.
        format: of the file: "geotiff" or "png", as `write_mask_file` has them.
        tiling: how the image is cut; None: as the memory asks.
        min_confidence: less sure pixels get the ignore index (0 … 1).
        progress: called after each step.

    Raises:
        DataError: the image cannot be read.
        ModelError: it has other bands than the model takes, or the network cannot be tiled.
        ConfigError: the memory is too small, or GeoTIFF is wanted and rasterio is not installed.
        OutputError: the mask cannot be written, or another run is making it.
    """
    tiling, image, out = tiling or Tiling(), Path(image), Path(out)
    check_format(format)
    if out.resolve() == image.resolve():
        mend = "Give the result another place"
        raise OutputError(out, found="is the image, which it would overwrite", mend=mend)
    work = LargeImage.open(model, image, tiling, out)
    report = progress or (lambda now: None)
    try:
        key = {**work.key(min_confidence), "file": format}
        cores = [[tile.core for tile in step] for step in work.steps]
        dtype = np.dtype(model.labels.mask_dtype)
        with Unfinished(out, work.plan.size, dtype, cores, key) as unfinished:
            taken_up = sum(len(cores[step]) for step in unfinished.finished)
            _finish(work, unfinished, min_confidence, report)
            count = AreaCount(model.labels, work.source.place)

            def rows(top: int, height: int) -> Mask:
                found = unfinished.rows(top, height)
                count.add(top, found)
                return found

            write_mask_file(
                out,
                format,
                rows,
                work.plan.size,
                model.labels,
                work.source.place,
                lambda done, total: report(Progress("file", done, total, 0)),
            )
            halo_costs = None if work.plan.halo is None else work.disagreement()
            unfinished.discard()
    finally:
        work.source.close()
    first = work.plan[0].core
    return LargePrediction(
        out,
        work.plan.size,
        len(work.plan),
        (first.height, first.width),
        taken_up,
        count.areas(),
        work.approximate,
        halo_costs,
    )


def _finish(
    work: LargeImage,
    unfinished: Unfinished,
    min_confidence: float,
    report: Callable[[Progress], None],
) -> None:
    """Predict the steps that are missing; each is written while the next is computed."""
    missing = [step for step in range(len(work.steps)) if step not in unfinished.finished]
    total = len(work.plan)
    done = total - sum(len(work.steps[step]) for step in missing)
    pixels = 0
    report(Progress("tiles", done, total, 0))
    writer = ThreadPoolExecutor(1, thread_name_prefix="perpixel-write")
    try:
        waiting: deque[Future[None]] = deque()
        for step, masks in work.masks(missing, min_confidence):
            waiting.append(writer.submit(unfinished.write, step, masks))
            while len(waiting) > WRITE_BEHIND:
                waiting.popleft().result()
            done += len(masks)
            pixels += sum(mask.size for mask in masks)
            report(Progress("tiles", done, total, pixels))
        while waiting:
            waiting.popleft().result()
    finally:
        # What is being written is written, so that the files can be closed.
        writer.shutdown(wait=True, cancel_futures=True)
