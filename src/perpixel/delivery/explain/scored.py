"""An image, what a model's network scores on it, and where the cells of these scores lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from perpixel import kernels
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.predictor import Model
from perpixel.score_map import ScoreMap, lookup

# (left, right, bottom, top), counted in pixels from the image's upper left corner.
Extent = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Scored:
    """An image as it was decoded, and its class scores.

    Args:
        image: the image in its own type.
        name: what errors call it.
        score_map: the network's result for it, a batch of one.
    """

    image: Shaped[np.ndarray, "bands H W"]
    name: str
    score_map: ScoreMap

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.score_map.size

    def mask(self) -> Shaped[np.ndarray, "H W"]:
        """The class of every pixel."""
        with torch.inference_mode():
            return np.asarray(kernels.argmax(self.score_map)[0].cpu().numpy())


def scored(model: Model, image: ImageLike) -> Scored:
    """Run the model's network on an image, once.

    Raises:
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes.
    """
    array, name = decoded(image)
    (score_map,) = model.views([array], names=[name])
    return Scored(array, name, score_map)


def cell_probabilities(
    score_map: ScoreMap,
) -> tuple[Float32[np.ndarray, "classes rows columns"], Extent]:
    """The classes' softmax probabilities in every cell that a pixel looks up, before upsampling.

    Args:
        score_map: of one image.

    Returns:
        the probabilities, and where in the image these cells lie. The middle of cell i is where
        the lookup hits it exactly, at (i + ½ − offset) · stride pixels from the image's edge.
    """
    scores = score_map.scores[0]
    rows, columns = (
        _looked_up(score_map.size[axis], scores.shape[1 + axis], score_map, axis) for axis in (0, 1)
    )
    part = scores[:, rows.start : rows.stop, columns.start : columns.stop]
    values = part.to(torch.float32).softmax(dim=0).cpu().numpy()
    (stride_y, stride_x), (offset_y, offset_x) = score_map.stride, score_map.offset
    extent = (
        (columns.start - offset_x) * stride_x,
        (columns.stop - offset_x) * stride_x,
        (rows.stop - offset_y) * stride_y,
        (rows.start - offset_y) * stride_y,
    )
    return values, extent


def _looked_up(pixels: int, cells: int, score_map: ScoreMap, axis: int) -> range:
    first, _, weight = lookup(pixels, cells, score_map.stride[axis], score_map.offset[axis])
    last = float(first[-1]) + float(weight[-1])
    return range(int(first[0]), math.ceil(last) + 1)
