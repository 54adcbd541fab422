"""Which pixels decide what one pixel becomes: receptive fields, and evidence for and against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes.torch_runtime import evaluating
from perpixel.networks.network import Network
from perpixel.networks.receptive_field import LARGE
from perpixel.networks.torchvision_networks import TorchvisionNetwork
from perpixel.networks.walk import walk
from perpixel.score_map import ScoreMap, lookup

# Steps of the integral from the grey image to the image itself.
STEPS = 16


@dataclass(frozen=True)
class Box:
    """Pixels of an image: rows top to bottom, columns left to right; the ends are not in it."""

    top: int
    bottom: int
    left: int
    right: int

    def clipped(self, size: tuple[int, int]) -> Box:
        """The part of it that lies in an image of this size."""
        return Box(
            max(self.top, 0), min(self.bottom, size[0]), max(self.left, 0), min(self.right, size[1])
        )


@dataclass(frozen=True)
class Field:
    """What one pixel of a prediction can see.

    Args:
        box: the pixels from the first to the last, also where they lie outside the image.
        whole_image_layer: a layer that looks at the whole image, beyond the box; None where there
            is none.
    """

    box: Box
    whole_image_layer: str | None


def theoretical_field(model: Model, score_map: ScoreMap, x: int, y: int) -> Field:
    """What the pixel sees through the cells that it lies between (Long et al. 2015, section 3).

    Args:
        model: its network made the scores.
        score_map: of the image.
        x, y: the pixel.

    Raises:
        ConfigError: the network's arithmetic cannot be followed.
    """
    try:
        seen = walk(model.network, LARGE, model.preprocessing.bands).scores
        ends = []
        for axis, name, place in ((0, "y", y), (1, "x", x)):
            size, cells = score_map.size[axis], score_map.scores.shape[2 + axis]
            first, second, weight = lookup(
                size, cells, score_map.stride[axis], score_map.offset[axis]
            )
            read = {int(first[place])} | ({int(second[place])} if weight[place] else set())
            spans = [seen.spans[name].sees(cell) for cell in read]
            ends.append(
                (min(span[0] for span in spans if span), max(span[1] for span in spans if span) + 1)
            )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            "network",
            found=f"its arithmetic cannot be followed ({' '.join(str(error).split())[:200]})",
            mend="Explain a network with a convolutional backbone",
        ) from None
    (top, bottom), (left, right) = ends
    return Field(Box(top, bottom, left, right), seen.whole)


@dataclass(frozen=True, eq=False)
class Influence:
    """How an image's pixels act on the prediction at one of them.

    Args:
        gradient: that of the winning class's score, its size summed over the bands.
        evidence: signed: what each pixel adds to the winner's lead over the runner-up, compared
            with a grey image. Without a runner-up (a single class) to the winner's score.
        lead: the winner's score minus the runner-up's.
        grey_lead: the same in the grey image.
    """

    gradient: Float32[np.ndarray, "H W"]
    evidence: Float32[np.ndarray, "H W"]
    lead: float
    grey_lead: float


def influence(
    model: Model,
    image: Shaped[np.ndarray, "bands H W"],
    name: str,
    field: Field,
    place: tuple[int, int],
    rivals: tuple[int, int | None],
) -> Influence:
    """The gradient by the image, which Luo et al. 2016 (arXiv:1701.04128) call the effective
    receptive field, and the integrated gradients of the winner's lead (Sundararajan, Taly and Yan
    2017, arXiv:1703.01365).

    The baseline of the integral is the image in the mean colour of the training, 0 in the network's
    input. The evidence then adds up to the lead minus the lead in that grey image, but for what
    `STEPS` midpoints leave out of the integral, and for the jumps of a network that has such
    (SegNet unpools to where maxima are). A network looks at the field of the pixel only, so
    a large image takes no more memory than that.

    Args:
        model: what predicts.
        image: as it was decoded.
        name: what errors call it.
        field: what the pixel sees.
        place: (x, y) of the pixel.
        rivals: the winner and the runner-up.
    """
    size = (image.shape[1], image.shape[2])
    part = _part(model, field, size)
    bands = model.preprocessing.fit_bands(image, name)[
        :, part.top : part.bottom, part.left : part.right
    ]
    with torch.no_grad():
        stored = torch.from_numpy(np.ascontiguousarray(bands)[None]).to(model.device)
        batch = model.preprocessing(stored)
    x, y = place[0] - part.left, place[1] - part.top

    def differentiated(share: float, rival: int | None) -> tuple[float, torch.Tensor]:
        given = (batch * share).detach().requires_grad_()
        with torch.enable_grad():
            score_map = model.network(given.contiguous(memory_format=torch.channels_last))
            scores = score_map.window(y, x, 1, 1).logits()[0, :, 0, 0]
            value = scores[rivals[0]] - (0 if rival is None else scores[rival])
            (gradient,) = torch.autograd.grad(value, given)
        return float(value.detach()), gradient[0]

    with evaluating(model.network):
        _, winning = differentiated(1.0, None)
        lead, _ = differentiated(1.0, rivals[1])
        grey_lead, _ = differentiated(0.0, rivals[1])
        total = torch.zeros_like(winning)
        for step in range(STEPS):
            total += differentiated((step + 0.5) / STEPS, rivals[1])[1]
    gradient, evidence = np.zeros(size, np.float32), np.zeros(size, np.float32)
    inside = np.s_[part.top : part.bottom, part.left : part.right]
    gradient[inside] = winning.abs().sum(dim=0).cpu().numpy()
    evidence[inside] = (total * batch[0] / STEPS).sum(dim=0).cpu().numpy()
    return Influence(gradient, evidence, lead, grey_lead)


def _part(model: Model, field: Field, size: tuple[int, int]) -> Box:
    """What the network is shown: the field, from one multiple of the grid to another, so that it
    scores the pixel as in the whole image."""
    whole = Box(0, size[0], 0, size[1])
    network = model.network
    # A cell of torchvision's networks is H / h pixels high, which in a part is another height.
    if (
        field.whole_image_layer is not None
        or not isinstance(network, Network)
        or isinstance(network, TorchvisionNetwork)
    ):
        return whole
    grid = network.grid
    box = field.box.clipped(size)
    return Box(
        box.top // grid * grid,
        min(math.ceil(box.bottom / grid) * grid, size[0]),
        box.left // grid * grid,
        min(math.ceil(box.right / grid) * grid, size[1]),
    )


def share_around(values: Float32[np.ndarray, "H W"], place: tuple[int, int], share: float) -> int:
    """The side of the smallest square around a pixel with that share of the values' sum.

    Args:
        values: none below 0.
        place: (x, y) of the pixel.
        share: 0 … 1.
    """
    height, width = values.shape
    rows, columns = np.abs(np.arange(height) - place[1]), np.abs(np.arange(width) - place[0])
    distance = np.maximum(rows[:, None], columns[None])
    sums = np.bincount(distance.reshape(-1), weights=values.reshape(-1).astype(np.float64))
    reached = np.cumsum(sums) >= share * sums.sum()
    return 2 * int(reached.argmax()) + 1


def in_squares(
    values: Float32[np.ndarray, "H W"], side: int
) -> Float32[np.ndarray, "rows columns"]:
    """The sums of the values in squares of so many pixels a side, the last ones cut off."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % side), (0, -width % side)))
    squares = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side)
    return np.asarray(squares.sum(axis=(1, 3)), np.float32)
