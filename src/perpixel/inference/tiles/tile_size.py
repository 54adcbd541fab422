"""Which tiles: as large as the memory allows, for the halo around each is computed again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from perpixel.data.raster import CACHE_BYTES
from perpixel.data.source import Source
from perpixel.errors import ConfigError
from perpixel.inference.memory import forward_bytes, memory_bytes, own_memory
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.effective_halo import effective_halo
from perpixel.inference.tiles.geometry import TileGeometry
from perpixel.inference.tiles.tiler import Read, Tiler
from perpixel.inference.tiles.tiling import TilePlan

# Windows that wait for the network, and masks that wait for the disk, at most; one more of each is
# at work.
READ_AHEAD, WRITE_BEHIND = 1, 1
# What is loaded and compiled only in the course of a prediction, measured with a margin.
_LATER = 400 << 20
# Of the bytes of activations in fp32. An int8 graph keeps some layers in more than a byte.
_OF_FP32 = {"fp32": 1.0, "bf16": 0.5, "fp16": 0.5, "int8": 0.5}
# From stored to normalised pixels there are so many copies as float32.
_FLOATS = 3
_BATCH = 8
_PROBE = 512


@dataclass(frozen=True)
class Tiling:
    """How a large image is to be cut.

    Args:
        tile: "none": the image is predicted whole; "auto": it is where the memory allows that, and
            else in tiles as large as the memory allows; or the side of a tile in pixels.
        memory: what the process may hold, as `memory_bytes` reads it; None: most of what is free.
        halo: at most so many pixels around its own a tile is shown, which makes it approximate;
            None: all that its cells see, which makes it exact; "auto": `effective_halo` of the
            image, measured where it needs tiles.

    Raises:
        ConfigError: the memory is no amount, the tile not above 0, or the halo below.
    """

    tile: Literal["none", "auto"] | int = "auto"
    memory: str | None = None
    halo: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        memory_bytes(self.memory)
        if isinstance(self.tile, int) and self.tile < 1:
            raise _wrong("tile", self.tile, "none, auto, or pixels above 0")
        if isinstance(self.halo, int) and self.halo < 0:
            raise _wrong("halo", self.halo, "pixels from 0 up")


@dataclass(frozen=True)
class Footprint:
    """What a prediction holds in memory, for each pixel that the network is shown.

    Args:
        device: of activations, in bytes, where the network runs.
        host: of everything else, in bytes, in the machine's memory.
    """

    device: float
    host: float

    @classmethod
    def of(
        cls, model: Model, geometry: TileGeometry, bands: int, dtype: np.dtype[np.generic]
    ) -> Footprint:
        """Of a model on images of so many bands and this type."""
        canvas = geometry.network.canvas
        side = canvas.length(max(_PROBE, 2 * canvas.before + 1))
        shown = model.preprocessing.bands
        forward = forward_bytes(
            geometry.network,
            _scored,
            (1, shown, side, side),
        )
        stored = bands * dtype.itemsize
        # A mask, its confidence, and where pixels were measured.
        written = (1 + WRITE_BEHIND) * (np.dtype(model.labels.mask_dtype).itemsize + 4 + 1)
        host = (2 + READ_AHEAD) * (stored + 1) + _FLOATS * 4 * shown + written
        return cls(forward * _OF_FP32[model.runtime.precision] / side**2, float(host))

    def pixels(self, model: Model, memory: int) -> int:
        """How many pixels the network can be shown at once."""
        free = memory - own_memory() - CACHE_BYTES - _LATER
        if model.device.type == "cuda":
            there = torch.cuda.mem_get_info(model.device)[0]
            return int(max(min(free / self.host, 0.7 * there / self.device), 0))
        return int(max(free / (self.host + self.device), 0))


def choose(tiler: Tiler, source: Source, tiling: Tiling, read: Read) -> tuple[TilePlan, int]:
    """The tiles, one where the image is predicted whole, and how many of them go through the
    network together.

    Args:
        tiler: of the model.
        source: of the image.
        tiling: what was asked for.
        read: the image's windows, as the network is shown them.

    Raises:
        ConfigError: the memory is too small.
    """
    if tiling.tile == "none":
        return tiler.plan(source.size, source.size), 1
    model, grid = tiler.model, tiler.geometry.grid
    footprint = Footprint.of(model, tiler.geometry, source.bands, source.dtype)
    room = footprint.pixels(model, memory_bytes(tiling.memory))
    if isinstance(tiling.tile, int):
        tile = _rounded(tiling.tile, grid), _rounded(tiling.tile, grid)
        plan = tiler.plan(source.size, tile, _halo(tiler, source.size, tiling, read))
        shown = math.prod(plan.largest)
        if tiling.memory is not None and shown > room:
            raise _too_little(tiling.memory, shown - room, footprint, f"tiles of {tiling.tile}")
        return plan, min(max(room // shown, 1), _BATCH)
    canvas = [tiler.geometry.network.canvas.length(pixels) for pixels in source.size]
    if math.prod(canvas) <= room:
        return tiler.plan(source.size, source.size), 1
    halo = _halo(tiler, source.size, tiling, read)
    largest = _largest(tiler, source.size, canvas, halo, room)
    if largest is None:
        least = math.prod(tiler.plan(source.size, grid, halo).largest)
        missing = max(least - room, 0)
        raise _too_little(tiling.memory or "what is free", missing, footprint, "the smallest tiles")
    return largest, 1


def _halo(tiler: Tiler, size: tuple[int, int], tiling: Tiling, read: Read) -> int | None:
    return effective_halo(tiler, size, read) if tiling.halo == "auto" else tiling.halo


def _scored(network: Any, images: torch.Tensor) -> Any:
    return network.forward_scores(images)


def _largest(
    tiler: Tiler,
    size: tuple[int, int],
    canvas: Sequence[int],
    halo: int | None,
    room: int,
) -> TilePlan | None:
    """The largest tiles of which the network can be shown `room` pixels at once, if any."""
    geometry = tiler.geometry
    # A square, but as long as the image along its other side where that is less.
    height = min(math.isqrt(room), canvas[0])
    width = min(room // max(height, 1), canvas[1])
    height = min(room // max(width, 1), canvas[0])
    around = geometry.halo if halo is None else min(halo, geometry.halo)
    tile = [
        _rounded(whole, geometry.grid) if shown >= length else shown - 2 * around
        for shown, length, whole in zip((height, width), canvas, size, strict=True)
    ]
    while min(tile) >= geometry.grid:
        even = (_even(size[0], tile[0], geometry.grid), _even(size[1], tile[1], geometry.grid))
        plan = tiler.plan(size, even, halo)
        if math.prod(plan.largest) <= room:
            return plan
        longer = 0 if plan.largest[0] >= plan.largest[1] else 1
        tile[longer] = even[longer] - max(geometry.grid, even[longer] // 16)
    return None


def _even(pixels: int, longest: int, grid: int) -> int:
    """The tile of which as few as possible, all alike, cover an axis."""
    if longest >= pixels:
        return _rounded(pixels, grid)
    longest = max(longest // grid, 1) * grid
    return _rounded(-(-pixels // -(-pixels // longest)), grid)


def _rounded(pixels: int, grid: int) -> int:
    return -(-pixels // grid) * grid


def _too_little(memory: str, missing: int, footprint: Footprint, what: str) -> ConfigError:
    more = missing * (footprint.host + footprint.device) / (1 << 20)
    return ConfigError(
        "memory",
        found=f"{memory} is too little for {what} of this network",
        expected=f"about {more:,.0f} MB more",
        mend="Allow more, or give a smaller --halo, with which tiles are approximate",
    )


def _wrong(where: str, found: int, expected: str) -> ConfigError:
    return ConfigError(where, found=f"{found}", expected=expected, mend="Give another number")
