"""A large image as a model looks at it: windows of it in, masks of its tiles out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from perpixel import kernels
from perpixel.data.source import Source, open_source
from perpixel.inference.memory import memory_bytes
from perpixel.inference.predictor import Model
from perpixel.inference.tile_geometry import TileGeometry
from perpixel.inference.tile_scores import tile_scores
from perpixel.inference.tile_size import READ_AHEAD, Tiling, choose
from perpixel.inference.tiling import Rectangle, Tile, TilePlan
from perpixel.inference.unfinished import begun

Pixels = Shaped[np.ndarray, "_ _ _"]
Mask = Shaped[np.ndarray, "_ _"]


@dataclass(frozen=True)
class LargeImage:
    """An image, a model, and the tiles in which the one looks at the other.

    Args:
        model: what predicts.
        source: where pixels come from.
        geometry: what the network says about tiles.
        plan: the tiles.
        steps: neighbouring tiles of one shape, which go through the network together: the same
            ones in every run, so that every run has the same roundings.
    """

    model: Model
    source: Source
    geometry: TileGeometry
    plan: TilePlan
    steps: tuple[tuple[Tile, ...], ...]

    @classmethod
    def open(cls, model: Model, image: Path, tiling: Tiling, out: Path | None = None) -> LargeImage:
        """Open an image and cut it. What an interrupted run has begun at `out` is cut as it was.

        Raises:
            DataError, ModelError, ConfigError: as `predict_large` does.
        """
        geometry = TileGeometry.of(model.network, model.preprocessing.bands)
        most = None if tiling.tile == "none" else memory_bytes(tiling.memory) // 2
        source = open_source(image, most)
        try:
            model.preprocessing.fit_bands(source.read(0, 0, 1, 1).pixels, str(image))
            tile, batch = choose(model, geometry, source, tiling)
            plan = geometry.plan(source.size, tile, tiling.halo)
            work = cls(model, source, geometry, plan, _steps(plan, batch))
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
        if self.geometry.whole_image_layer is not None:
            return f"{self.geometry.whole_image_layer} looks at the whole image"
        if self.plan.halo is not None and self.plan.halo < self.geometry.halo:
            return f"a halo of {self.plan.halo} pixels, and the network's is {self.geometry.halo}"
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
            "model": checksum(self.model),
            "min_confidence": min_confidence,
            "tile": [first.height, first.width],
            "batch": max(map(len, self.steps)),
            "halo": self.plan.halo,
        }

    def masks(
        self, steps: Sequence[int], min_confidence: float = 0.0
    ) -> Iterator[tuple[int, list[Mask]]]:
        """The masks of some steps, in this order; windows are read ahead in a thread.

        Raises:
            DataError: the image cannot be read.
        """
        reader = ThreadPoolExecutor(1, thread_name_prefix="perpixel-read")
        try:
            todo = iter(steps)
            waiting: deque[tuple[int, Future[list[tuple[Pixels, Any]]]]] = deque()
            for step in islice(todo, 1 + READ_AHEAD):
                waiting.append((step, reader.submit(self._windows, step)))
            while waiting:
                step, future = waiting.popleft()
                windows = future.result()
                for after in islice(todo, 1):
                    waiting.append((after, reader.submit(self._windows, after)))
                yield step, self._predicted(step, windows, min_confidence)
        finally:
            reader.shutdown(wait=True, cancel_futures=True)

    def _windows(self, step: int) -> list[tuple[Pixels, Bool[np.ndarray, "_ _"] | None]]:
        """For each tile what the network sees, and where its own pixels were measured."""
        found = []
        for tile in self.steps[step]:
            window = self.source.read(*tile.source)
            pixels = self.model.preprocessing.fit_bands(window.pixels, str(self.source.path))
            measured = window.measured
            if measured is not None:
                if pixels.dtype.kind != "f":
                    fill = np.rint(self.model.preprocessing.fill(pixels.dtype))
                    pixels = np.where(measured, pixels, fill.astype(pixels.dtype)[:, None, None])
                measured = _part(measured, tile.source, tile.core)
            found.append((pixels, measured))
        return found

    def _predicted(
        self, step: int, windows: Sequence[tuple[Pixels, Any]], min_confidence: float
    ) -> list[Mask]:
        labels = self.model.labels
        tiles = self.steps[step]
        masks: list[Mask] = []
        with torch.inference_mode():
            maps = tile_scores(self.model, tiles, [pixels for pixels, _ in windows])
            for score_map, (_, measured) in zip(maps, windows, strict=True):
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
                masks.append(mask)
        return masks

    def _as_begun(self, earlier: dict[str, Any]) -> LargeImage:
        """The same image cut as an interrupted run has cut it, if all else agrees."""
        own = self.key(earlier.get("min_confidence", 0.0))
        cut = ("tile", "batch")
        if any(earlier.get(name) != value for name, value in own.items() if name not in cut):
            return self
        plan = self.geometry.plan(self.plan.size, tuple(earlier["tile"]), self.plan.halo)
        ours = max(map(len, self.steps)) * np.prod(self.plan.largest)
        if earlier["batch"] * np.prod(plan.largest) > 2 * ours:
            # There is much less memory now.
            return self
        steps = _steps(plan, earlier["batch"])
        return LargeImage(self.model, self.source, self.geometry, plan, steps)


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
    steps: list[tuple[Tile, ...]] = []
    for tile in plan:
        if steps and len(steps[-1]) < batch and steps[-1][0].shape == tile.shape:
            steps[-1] = (*steps[-1], tile)
        else:
            steps.append((tile,))
    return tuple(steps)


def _part(
    values: Bool[np.ndarray, "_ _"], source: Rectangle, core: Rectangle
) -> Bool[np.ndarray, "_ _"]:
    """The core's part of what was read for a tile."""
    top, left = core.top - source.top, core.left - source.left
    return values[top : top + core.height, left : left + core.width]
