"""The exponential moving average of a network's weights, which is what gets evaluated and saved."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """A copy of a network whose weights follow the trained ones at a distance.

    In early steps the average is younger than its decay would have it, min(decay,
    (1 + n) / (10 + n)) at step n, so that it does not drag the random start along.

    Args:
        network: the network in training; the copy is made from its present weights.
        decay: share of the average that is kept in each step; 0 makes it follow exactly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._source = _tensors(network)
        self._average = _tensors(self.network)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the trained weights after step number `step` (from 1) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for floats, average in zip(self._source, self._average, strict=True):
            if floats[0].is_floating_point():
                torch._foreach_lerp_(average, floats, 1.0 - decay)
            else:
                torch._foreach_copy_(average, floats)


def _tensors(network: nn.Module) -> list[list[torch.Tensor]]:
    """Weights and batch statistics, floating ones first, in lists for torch's many-tensor calls."""
    tensors = list(network.state_dict(keep_vars=True).values())
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    counters = [tensor for tensor in tensors if not tensor.is_floating_point()]
    return [group for group in (floating, counters) if group]
