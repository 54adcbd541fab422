"""A network seen layer by layer: shapes, parameters, multiply–adds, strides, receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from torch import nn

from perpixel.networks.receptive_field import (
    LARGE,
    ReceptiveField,
    Tiling,
    of_scores,
    of_walk,
)
from perpixel.networks.span import Span
from perpixel.networks.walk import Step, walk

# Operations whose names in torch's graph are not those that a reader knows.
READABLE = {
    "max_pool2d_with_indices": "max_pool2d",
    "constant_pad_nd": "pad",
    "index_select": "mirror",
    "scatter": "max_unpool2d",
}
# They only arrange values: a row has the name of what was done to them before.
ARRANGING = {"view", "_unsafe_view", "clone", "expand", "permute", "transpose", "unsqueeze"}


@dataclass(frozen=True)
class Layer:
    """One layer, at one size of image.

    Args:
        name: the module's, or that of the module that contains it and the operation.
        shape: of what it puts out, (B, channels, h, w).
        parameters: how many of its own; a layer that runs again has them the first time.
        multiply_adds: of its convolutions and matrix products, for one image.
        field: what a cell of it sees; None where rows and columns are gone.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    field: ReceptiveField | None


@dataclass(frozen=True)
class Inspection:
    """A whole network, at one size of image.

    Args:
        size: (H, W) of the image.
        layers: in the order in which they run; those without parameters whose cells see
            what others saw before (activations, dropout) are left out.
        parameters: of the network, each once.
        multiply_adds: of one image.
        cell: what a cell of the scores sees.
        tiling: the grid, the halo, and whether tiles are exact.
    """

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    cell: ReceptiveField
    tiling: Tiling

    def as_json(self) -> dict[str, Any]:
        """Numbers, texts and lists; a fraction is a text such as "27/2"."""
        return {
            "size": list(self.size),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            **_field_as_json(self.cell),
            "grid": self.tiling.grid,
            "halo": self.tiling.halo,
            "exact_in_tiles": self.tiling.exact,
            "whole_image_layer": self.tiling.whole_image_layer,
            "layers": [
                {
                    "name": layer.name,
                    "shape": list(layer.shape),
                    "parameters": layer.parameters,
                    "multiply_adds": layer.multiply_adds,
                    **_field_as_json(layer.field),
                }
                for layer in self.layers
            ],
        }


def inspect(network: nn.Module, size: tuple[int, int], *, bands: int = 3) -> Inspection:
    """Walk through a network's graph; nothing is computed, so weights on the meta device will do.

    Args:
        network: from (B, bands, H, W) to a ScoreMap.
        size: (H, W) of the image for which shapes and multiply–adds hold.
        bands: how many bands the image has.

    Raises:
        ValueError: the network uses an operation of which is not known what it sees.
    """
    # Borders are all there is of a small image: what cells see is told of a large one.
    far, near = walk(network, LARGE, bands), walk(network, size, bands)
    own = {
        name: sum(parameter.numel() for parameter in module.parameters(recurse=False))
        for name, module in network.named_modules()
    }
    containers = {name for name, module in network.named_modules() if list(module.children())}
    layers: list[Layer] = []
    known: list[dict[str, Span]] = []
    paired = zip(near.steps, far.steps, strict=True)
    for name, group in groupby(paired, key=lambda pair: pair[0].layer):
        steps = list(group)
        last, seen = steps[-1][0], steps[-1][1].seen
        parameters = own.pop(name, 0)
        multiply_adds = sum(step.multiply_adds for step, _ in steps)
        if parameters or multiply_adds or seen.spans not in known:
            operation = _operation([step for step, _ in steps])
            place = f"{name}.{operation}".strip(".") if name in containers else name
            field = ReceptiveField.of(seen)
            layers.append(Layer(place, last.seen.shape, parameters, multiply_adds, field))
        known.append(seen.spans)
    return Inspection(
        size,
        tuple(layers),
        sum(parameter.numel() for parameter in network.parameters()),
        sum(step.multiply_adds for step in near.steps),
        of_scores(far),
        of_walk(far),
    )


def _operation(steps: Sequence[Step]) -> str:
    """What a group of steps does, in one word: its last operation that does something."""
    names = [step.operation for step in steps]
    name = [name for name in names if name not in ARRANGING][-1:] or names[-1:]
    return READABLE.get(name[0], name[0].strip("_"))


def _field_as_json(field: ReceptiveField | None) -> dict[str, Any]:
    if field is None:
        return {"stride": None, "receptive_field": None, "centre": None}
    return {
        "stride": [_exact(stride) for stride in field.stride],
        "receptive_field": list(field.size),
        "centre": [_exact(centre) for centre in field.centre],
    }


def _exact(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else str(value)
