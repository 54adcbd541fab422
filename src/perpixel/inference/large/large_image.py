"""A large image as a model looks at it: windows of it in, masks of its tiles out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from perpixel import kernels
from perpixel.data.source import Source, open_source
from perpixel.inference.large.unfinished import begun
from perpixel.inference.memory import memory_bytes
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import READ_AHEAD, Tiling, choose
from perpixel.inference.tiles.tiled import Disagreement, disagreement
from perpixel.inference.tiles.tiler import Mean, Tiler
from perpixel.inference.tiles.tiling import Rectangle, Tile, TilePlan
from perpixel.machine import give_memory_back
from perpixel.score_map import ScoreMap

# What is free differs a little from run to run, and so do the tiles that fit.
_LARGER = 1.25
Pixels = Shaped[np.ndarray, "_ _ _"]
Mask = Shaped[np.ndarray, "_ _"]
Measured = Bool[np.ndarray, "_ _"]
# What the network sees of a tile's source, and where pixels were measured; None: everywhere.
Seen = tuple[Pixels, Measured | None]


@dataclass(frozen=True)
class LargeImage:
    """An image, a model, and the tiles in which the one looks at the other.

    Args:
        tiler: scores tiles.
        source: where pixels come from.
        plan: the tiles.
        steps: neighbouring tiles of one shape, which go through the network together: the same
            ones in every run, so that every run has the same roundings.
    """

    tiler: Tiler
    source: Source
    plan: TilePlan
    steps: tuple[tuple[Tile, ...], ...]

    @classmethod
    def open(cls, model: Model, image: Path, tiling: Tiling, out: Path | None = None) -> LargeImage:
        """Open an image and cut it. What an interrupted run has begun at `out` is cut as it was.

        Raises:
            DataError, ModelError, ConfigError: as `predict_large` does.
        """
        give_memory_back()
        tiler = Tiler.of(model)
        most = None if tiling.tile == "none" else memory_bytes(tiling.memory) // 2
        source = open_source(image, most)
        try:
            model.preprocessing.fit_bands(source.read(0, 0, 1, 1).pixels, str(image))
            plan, batch = choose(tiler, source, tiling, partial(_pixels, tiler.model, source))
            work = cls(tiler, source, plan, _steps(plan, batch))
            earlier = None if out is None or tiling.tile != "auto" else begun(out)
            if earlier is not None:
                work = work._as_begun(earlier)
        except BaseException:
            source.close()
            raise
        return work

    @property
    def approximate(self) -> str | None:
        """Why tiles differ from the whole image, in words; None where they do not."""
        if len(self.plan) == 1:
            return None
        geometry = self.tiler.geometry
        if geometry.inexact_layer is not None:
            return f"{geometry.inexact_layer} looks at the whole image"
        if self.plan.halo is not None:
            return f"a halo of {self.plan.halo} pixels, where the network's is {geometry.halo}"
        return None

    def key(self, min_confidence: float) -> dict[str, Any]:
        """From what, and how, a mask is made: where two agree, so do the masks."""
        status = self.source.path.stat()
        first = self.plan[0].core
        return {
            "image": str(self.source.path.resolve()),
            "bytes": status.st_size,
            "modified": status.st_mtime_ns,
            "size": list(self.plan.size),
            "model": checksum(self.tiler.model),
            "min_confidence": min_confidence,
            "tile": [first.height, first.width],
            "batch": max(map(len, self.steps)),
            "halo": self.plan.halo,
        }

    def masks(
        self, steps: Sequence[int], min_confidence: float = 0.0
    ) -> Iterator[tuple[int, list[Mask]]]:
        """The masks of some steps, in this order; windows are read ahead in a thread.

        What a network takes a mean of over the whole image is computed first, from all of it, and
        overlapping tiles that are blended are read when they are computed.

        Raises:
            DataError: the image cannot be read.
        """
        if not steps:
            return
        mean = self.mean()
        if self.plan.overlap:
            yield from self._blended(steps, mean, min_confidence)
            return
        reader = ThreadPoolExecutor(1, thread_name_prefix="perpixel-read")
        try:
            todo = iter(steps)
            waiting: deque[tuple[int, Future[list[Seen]]]] = deque()
            for step in islice(todo, 1 + READ_AHEAD):
                waiting.append((step, reader.submit(self._windows, step)))
            while waiting:
                step, future = waiting.popleft()
                windows = future.result()
                for after in islice(todo, 1):
                    waiting.append((after, reader.submit(self._windows, after)))
                maps = self.tiler.step(self.steps[step], [seen[0] for seen in windows], mean)
                pairs = zip(maps, windows, strict=True)
                yield step, [self._mask(one, seen[1], min_confidence) for one, seen in pairs]
        finally:
            reader.shutdown(wait=True, cancel_futures=True)

    def mean(self) -> Mean | None:
        """What `Tiler.mean` finds, the same bits in every run; None where no layer takes it."""
        return self.tiler.mean(self.plan, self._read)

    def disagreement(self) -> Disagreement:
        """How far tiles with a small halo are from exact ones, measured on some of them."""
        return disagreement(self.tiler, self.plan, self._read, self.mean())

    def _blended(
        self, steps: Sequence[int], mean: Mean | None, min_confidence: float
    ) -> Iterator[tuple[int, list[Mask]]]:
        wanted = {self.steps[step][0].index: step for step in steps}
        skip = set(range(len(self.plan))) - set(wanted)
        for tile, score_map in self.tiler.scores(self.plan, self._read, mean=mean, skip=skip):
            measured = self.source.read(*tile.core).measured
            yield wanted[tile.index], [self._mask(score_map, measured, min_confidence)]

    def _windows(self, step: int) -> list[Seen]:
        """For each tile what the network sees, and where its own pixels were measured."""
        found = []
        for tile in self.steps[step]:
            pixels, measured = _seen(self.tiler.model, self.source, *tile.source)
            if measured is not None:
                measured = _part(measured, tile.source, tile.core)
            found.append((pixels, measured))
        return found

    def _read(self, top: int, left: int, height: int, width: int) -> Pixels:
        return _pixels(self.tiler.model, self.source, top, left, height, width)

    def _mask(self, score_map: ScoreMap, measured: Measured | None, min_confidence: float) -> Mask:
        labels = self.tiler.model.labels
        with torch.inference_mode():
            if min_confidence > 0:
                winner, confidence = kernels.winner(score_map)
                unsure = (confidence < min_confidence)[0].cpu().numpy()
            else:
                winner, unsure = kernels.argmax(score_map), None
        mask = winner[0].cpu().numpy().astype(labels.mask_dtype, copy=False)
        if unsure is not None:
            mask[unsure] = labels.ignore_index
        if measured is not None:
            mask[~measured] = labels.ignore_index
        return mask

    def _as_begun(self, earlier: dict[str, Any]) -> LargeImage:
        """The same image cut as an interrupted run has cut it, if all else agrees."""
        own = self.key(earlier.get("min_confidence", 0.0))
        cut = ("tile", "batch")
        if any(earlier.get(name) != value for name, value in own.items() if name not in cut):
            return self
        plan = self.tiler.plan(self.plan.size, tuple(earlier["tile"]), self.plan.halo)
        ours = max(map(len, self.steps)) * np.prod(self.plan.largest)
        if earlier["batch"] * np.prod(plan.largest) > _LARGER * ours:
            # There is less memory now.
            return self
        steps = _steps(plan, earlier["batch"])
        return LargeImage(self.tiler, self.source, plan, steps)


def checksum(model: Model) -> str:
    """Of everything in a model that its masks depend on: SHA-256, in hexadecimal."""
    found = hashlib.sha256()
    for text in (
        model.labels.model_dump_json(),
        model.preprocessing.model_dump_json(),
        model.runtime.name,
        model.runtime.precision,
        torch.__version__,
    ):
        found.update(text.encode() + b"\0")
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _steps(plan: TilePlan, batch: int) -> tuple[tuple[Tile, ...], ...]:
    if plan.overlap:
        return tuple((tile,) for tile in plan)
    steps: list[tuple[Tile, ...]] = []
    for tile in plan:
        if steps and len(steps[-1]) < batch and steps[-1][0].shape == tile.shape:
            steps[-1] = (*steps[-1], tile)
        else:
            steps.append((tile,))
    return tuple(steps)


def _pixels(model: Model, source: Source, top: int, left: int, height: int, width: int) -> Pixels:
    return _seen(model, source, top, left, height, width)[0]


def _seen(model: Model, source: Source, top: int, left: int, height: int, width: int) -> Seen:
    window = source.read(top, left, height, width)
    fitted = model.preprocessing.fit_bands(window.pixels, str(source.path), window.measured)
    return fitted, window.measured


def _part(values: Measured, source: Rectangle, core: Rectangle) -> Measured:
    """The core's part of what was read for a tile."""
    top, left = core.top - source.top, core.left - source.left
    return values[top : top + core.height, left : left + core.width]
