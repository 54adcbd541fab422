"""The effective halo: how far around a tile what its scores depend on lies, rather than what they
could depend on."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from jaxtyping import Float32, Float64

from perpixel.inference.runtimes.torch_runtime import evaluating
from perpixel.inference.tiles.tiler import Read, Tiler
from perpixel.networks.image_mean import FeaturesBefore, given_mean

# Of what a score depends on, so much may lie beyond the halo.
BEYOND = 0.05
# Places that are looked at, along each side of the image.
_PLACES = 2
# A window is differentiated, and holds all its activations: no halo above is proposed.
_FARTHEST = 320


def effective_halo(tiler: Tiler, size: tuple[int, int], read: Read) -> int | None:
    """The halo within which lies all but `BEYOND` of what scores depend on.

    What a cell can see is known from the layers alone; what it makes use of is far less, about a
    bell around it (Luo et al. 2016, arXiv:1701.04128), and depends on the weights and the image.
    Here it is measured where the tiles will be: the winning class's score is differentiated by the
    pixels around some places of the image, and the largest distance counts. A layer that takes a
    mean over the image is given it, as it is in tiles.

    Args:
        tiler: of the model.
        size: (H, W) of the image.
        read: the image's windows.

    Returns:
        Pixels, a multiple of the grid; None where that is no less than the exact halo.

    Raises:
        ModelError: the image has other bands than the model takes.
    """
    geometry = tiler.geometry
    reach = min(geometry.halo, _FARTHEST)
    found = 0
    for row in range(_PLACES):
        for column in range(_PLACES):
            y, x = (
                pixels * (2 * place + 1) // (2 * _PLACES)
                for pixels, place in zip(size, (row, column), strict=True)
            )
            top, left = max(y - reach, 0), max(x - reach, 0)
            bottom, right = min(y + reach + 1, size[0]), min(x + reach + 1, size[1])
            window = read(top, left, bottom - top, right - left)
            place = y - top, x - left
            found = max(found, radius(_dependence(tiler, window, place), place, BEYOND))
    halo = -(-found // geometry.grid) * geometry.grid
    return halo if halo < geometry.halo else None


def radius(dependence: Float32[np.ndarray, "H W"], place: tuple[int, int], beyond: float) -> int:
    """How far from a place, along rows or columns, all but a share of something lies.

    Args:
        dependence: of each pixel, 0 or more.
        place: (y, x) within.
        beyond: the share that may lie farther (0 … 1).
    """
    rows = np.abs(np.arange(dependence.shape[0]) - place[0])
    columns = np.abs(np.arange(dependence.shape[1]) - place[1])
    distance = np.maximum(rows[:, None], columns[None, :])
    at: Float64[np.ndarray, " distances"] = np.bincount(
        distance.ravel(), weights=dependence.ravel().astype(np.float64)
    )
    # From the far end, so that what is small is not lost in what is large.
    farther = np.append(at[::-1].cumsum()[::-1][1:], 0.0)
    return int(np.argmax(farther <= beyond * at.sum()))


def _dependence(
    tiler: Tiler, window: np.ndarray, place: tuple[int, int]
) -> Float32[np.ndarray, "H W"]:
    """The gradient of the winner's score at a place by each pixel, summed over the bands."""
    network, preprocessing = tiler.geometry.network, tiler.model.preprocessing
    fitted = preprocessing.fit_bands(window)
    with torch.no_grad(), evaluating(network):
        stored = torch.from_numpy(np.ascontiguousarray(fitted)).to(tiler.model.device)
        image = preprocessing(stored[None]).contiguous(memory_format=torch.channels_last)
        mean = None
        if network.image_mean is not None:
            features = FeaturesBefore(network)(network.canvas.pad(image))
            mean = features.mean((2, 3), keepdim=True)
    image = image.detach().requires_grad_()
    with (
        torch.enable_grad(),
        evaluating(network),
        nullcontext() if mean is None else given_mean(network, mean),
    ):
        scores = network(image).window(*place, 1, 1).logits()[0, :, 0, 0]
        (gradient,) = torch.autograd.grad(scores.max(), image)
    return gradient[0].abs().sum(0).cpu().numpy()
