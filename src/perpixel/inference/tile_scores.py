"""Tiles through the network: each is shown its part of the image's canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Shaped

from perpixel.inference.predictor import Model
from perpixel.inference.runtimes.torch_runtime import evaluating
from perpixel.inference.tiling import Tile
from perpixel.score_map import ScoreMap


def tile_scores(
    model: Model, tiles: Sequence[Tile], pixels: Sequence[Shaped[np.ndarray, "_ _ _"]]
) -> list[ScoreMap]:
    """The score map of each tile's own pixels; the tiles are of one shape."""
    parts = []
    for tile, stored in zip(tiles, pixels, strict=True):
        batch = torch.from_numpy(np.ascontiguousarray(stored)).to(model.device)[None]
        rows, columns = tile.rows, tile.columns
        part = model.preprocessing(batch)
        if rows.axis.canvas.mirrored:
            part = part[:, :, torch.from_numpy(rows.shown_pixels() - rows.source[0])]
            part = part[:, :, :, torch.from_numpy(columns.shown_pixels() - columns.source[0])]
        parts.append(F.pad(part, (*columns.around, *rows.around)))
    canvas = torch.cat(parts).contiguous(memory_format=torch.channels_last)
    network: Any = model.network
    with evaluating(network):
        scores = network.forward_scores(canvas)
    maps = []
    for index, tile in enumerate(tiles):
        strides = float(tile.rows.axis.stride), float(tile.columns.axis.stride)
        offsets = tile.rows.offset, tile.columns.offset
        size = tile.core.height, tile.core.width
        maps.append(ScoreMap(scores[index : index + 1], strides, offsets, size))
    return maps
