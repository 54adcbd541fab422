"""A network without its numbers, to be run for shapes alone."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def skeleton(network: AnyModule) -> AnyModule:
    """A copy in evaluation mode with its weights on the meta device: what it computes has shapes
    and no numbers, and costs nothing.

    The network itself is only read: others may compute with it meanwhile.
    """
    without: dict[int, Any] = {}
    # Tensors that were made in inference mode cannot be watched, as some who run it do.
    with torch.inference_mode(False):
        for weight in network.parameters():
            empty = torch.empty_like(weight, device="meta")
            without[id(weight)] = nn.Parameter(empty, requires_grad=False)
        for buffer in network.buffers():
            without[id(buffer)] = torch.empty_like(buffer, device="meta")
        return copy.deepcopy(network, without).eval()
