"""Less memory for more arithmetic: activations that are computed again instead of kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_sequences(network: nn.Module) -> int:
    """Let every sequence of layers keep only what goes into it (Chen et al., arXiv:1604.06174).

    What is inside is computed again in the backward pass, with the same random draws. Weights,
    gradients and the batch norms' running statistics come out as without it, to the last bit.
    Sequences are the `nn.Sequential` modules that the forward pass calls; in those within others,
    nothing more is done.

    Args:
        network: changed in place.

    Returns:
        how many sequences the network has; where there are none, nothing is saved.
    """
    inside: list[bool] = []
    sequences = [module for module in network.modules() if type(module) is nn.Sequential]
    for module in sequences:
        # The class is changed, not the method of one module: a copy of the network calls its own
        # layers, not those that it was copied from.
        module.__class__ = _Recomputed
        module.inside = inside  # type: ignore[assignment]
    return len(sequences)


class _Recomputed(nn.Sequential):
    """A sequence whose activations are computed again in the backward pass.

    Attributes:
        inside: of all sequences of a network; not empty while one of them is computed.
    """

    inside: list[bool]

    def forward(self, images: torch.Tensor) -> Any:
        if self.inside or not torch.is_grad_enabled():
            return super().forward(images)  # type: ignore[no-untyped-call]
        return checkpoint(self._plain, images, use_reentrant=False, context_fn=self._contexts)

    def _plain(self, images: torch.Tensor) -> Any:
        # A sequence within this one is part of it, in the first pass and in the second.
        self.inside.append(True)
        try:
            return super().forward(images)  # type: ignore[no-untyped-call]
        finally:
            self.inside.pop()

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _still(self)


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise, and take nothing into their running statistics a second time."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    kept = [(layer, layer.momentum, layer.num_batches_tracked) for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked = layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, momentum, tracked in kept:
            layer.momentum, layer.num_batches_tracked = momentum, tracked
