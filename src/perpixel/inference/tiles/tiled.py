"""A prediction made of tiles: what `Model.predict` says, in memory that the tile bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from perpixel import kernels
from perpixel.data.window import measured_where
from perpixel.errors import ConfigError
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation
from perpixel.inference.tiles.tiler import Mean, Read, Tiler
from perpixel.inference.tiles.tiling import TilePlan

# Tiles that are computed once more, with all that they see, to measure what a smaller halo costs.
SAMPLED_TILES = 4


@dataclass(frozen=True)
class Disagreement:
    """How far tiles with a small halo are from exact ones, measured on some of them.

    Args:
        tiles: how many were compared.
        pixels: how many.
        differing: how many of those have another class.
    """

    tiles: int
    pixels: int
    differing: int

    @property
    def share(self) -> float:
        """Of the pixels compared, 0 … 1."""
        return self.differing / self.pixels


@dataclass(frozen=True, eq=False)
class TiledSegmentation(Segmentation):
    """What a model says about an image, tile by tile.

    Args:
        plan: the tiles.
        inexact_layer: a layer that looks at the whole image, and was shown tiles instead: they were
            blended, and the mask is near that of the whole image. None: there is none such.
        disagreement: with exact tiles, where a smaller halo was asked for; None where none was.
    """

    plan: TilePlan
    inexact_layer: str | None
    disagreement: Disagreement | None

    @property
    def exact(self) -> bool:
        """Is this the mask of the whole image, ties within rounding apart?"""
        return len(self.plan) == 1 or (self.inexact_layer is None and self.plan.halo is None)


def predict_tiled(
    model: Model,
    image: ImageLike,
    *,
    tile: int | tuple[int, int],
    halo: int | None = None,
    batch_size: int = 1,
) -> TiledSegmentation:
    """A class and a confidence for every pixel, computed tile by tile.

    Exact tiles give what `model.predict` gives, to rounding: the network is shown all that a tile's
    cells see. The image and its mask are held whole; for images that do not fit either, `Tiler`
    hands on one tile after another.

    Args:
        model: whose network can be looked into.
        image: a path, a Pillow image, or an array (H, W) or (H, W, bands).
        tile: pixels of a tile's side, or (height, width); rounded up to a multiple of the grid.
        halo: show a tile at most so many pixels around its own: faster, and only about right; how
            much so is measured on some tiles.
        batch_size: up to so many tiles go through the network together.

    Raises:
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes, or the network's tiles are not known.
        ConfigError: the tile is not above 0 or the halo below 0; the runtime cannot compute tiles.
    """
    sides = (tile,) if isinstance(tile, int) else tile
    if min(sides) < 1:
        raise _wrong("tile", f"{tile}", "pixels above 0")
    if halo is not None and halo < 0:
        raise _wrong("halo", f"{halo}", "pixels from 0 up")
    array, name = decoded(image)
    model.preprocessing.fit_bands(array[:, :1, :1], name)
    tiler = Tiler.of(model)

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return array[:, top : top + height, left : left + width]

    size = (int(array.shape[1]), int(array.shape[2]))
    plan = tiler.plan(size, tile, halo)
    mean = tiler.mean(plan, read)
    mask = np.empty(size, model.labels.mask_dtype)
    confidence = np.empty(size, np.float32)
    for one, score_map in tiler.scores(plan, read, mean=mean, batch_size=batch_size):
        top, left, height, width = one.core
        with torch.inference_mode():
            winner, certain = kernels.winner(score_map)
        part = slice(top, top + height), slice(left, left + width)
        mask[part] = winner[0].cpu().numpy()
        confidence[part] = certain[0].cpu().numpy()
    measured = measured_where(array)
    if measured is not None:
        mask[~measured] = model.labels.ignore_index
    return TiledSegmentation(
        mask=mask,
        confidence=confidence,
        labels=model.labels,
        image=array,
        plan=plan,
        inexact_layer=tiler.geometry.inexact_layer,
        disagreement=None if halo is None else disagreement(tiler, plan, read, mean),
    )


def disagreement(
    tiler: Tiler, plan: TilePlan, read: Read, mean: Mean | None = None
) -> Disagreement:
    """Compute some tiles of a plan with a small halo once more, with all that they see, and
    compare.

    The tiles are spread evenly over the plan; what a tile of this plan lacks is the same anywhere
    but at the image's border.

    Args:
        tiler: what computes.
        plan: with a halo.
        read: the image.
        mean: of the whole canvas, where the network needs one.
    """
    axes = plan.rows[0].axis, plan.columns[0].axis
    length = plan.rows[0].stop, plan.columns[0].stop
    exact = TilePlan.of(*axes, length, None, plan.overlap)
    count = min(SAMPLED_TILES, len(plan))
    differing = pixels = 0
    for index in (len(plan) * (2 * place + 1) // (2 * count) for place in range(count)):
        masks = []
        for tile in (plan[index], exact[index]):
            (score_map,) = tiler.step([tile], [read(*tile.source)], mean)
            with torch.inference_mode():
                masks.append(kernels.argmax(score_map))
        differing += int((masks[0] != masks[1]).sum())
        pixels += masks[0].numel()
    return Disagreement(count, pixels, differing)


def _wrong(where: str, found: str, expected: str) -> ConfigError:
    return ConfigError(where, found=found, expected=expected, mend="Give another number")
