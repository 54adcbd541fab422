"""Half the bytes: weights stored as float16, and float32 again in memory.

Tensors with two axes or more, the convolutions, where nearly all of the bytes are, are rounded to
the nearest number of 11 binary digits: a relative error of 2⁻¹¹ at most, and below 6e-5 an absolute
one of 3e-8. Biases and the batch norms' statistics, whose range is wider, stay as they are. Over
how many batches those were taken is left out: a halved model that is trained on counts from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from perpixel.errors import ModelError

Stored = Literal["float32", "float16"]
MEAN, COUNTER = "running_mean", "num_batches_tracked"


def stored_as(metadata: Mapping[str, str]) -> Stored:
    """How a file with this metadata holds its weights.

    Raises:
        ValueError: in a way that is not known.
    """
    match metadata.get("stored"):
        case None:
            return "float32"
        case "float16":
            return "float16"
        case other:
            raise ValueError(f"weights are stored as {other}")


def rounded(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as a halved file holds them.

    Raises:
        ModelError: one has a number that is too large for float16.
    """
    return {
        name: _nearest(name, tensor) if _is_rounded(tensor) else tensor
        for name, tensor in tensors.items()
        if not name.endswith(COUNTER)
    }


def widened(tensors: Mapping[str, torch.Tensor], stored: Stored) -> dict[str, torch.Tensor]:
    """The tensors as a network takes them.

    Raises:
        ValueError: one is not as a file that is stored so has it.
    """
    if stored == "float32":
        return dict(tensors)
    for name, tensor in tensors.items():
        if _is_rounded(tensor) and tensor.dtype != torch.float16:
            raise ValueError(f"{name} is {tensor.dtype}, not stored as {stored}")
    norms = [name.removesuffix(MEAN) for name in tensors if name.endswith(MEAN)]
    return {
        **{f"{norm}{COUNTER}": torch.zeros((), dtype=torch.int64) for norm in norms},
        **{name: own.float() if _is_rounded(own) else own for name, own in tensors.items()},
    }


def _is_rounded(tensor: torch.Tensor) -> bool:
    """Whether it is one of those that are rounded."""
    return tensor.is_floating_point() and tensor.ndim >= 2


def _nearest(name: str, tensor: torch.Tensor) -> torch.Tensor:
    nearest = tensor.to(torch.float16)
    if not torch.equal(nearest.isfinite(), tensor.isfinite()):
        raise ModelError(
            name,
            found=f"a weight of {float(tensor.abs().max()):g}",
            expected=f"at most {torch.finfo(torch.float16).max:g}, the largest float16",
            mend="Keep the model as it is",
        )
    return nearest
