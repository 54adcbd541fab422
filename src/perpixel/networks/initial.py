"""Initial weights."""

from __future__ import annotations

import torch
from torch import nn


def draw_normal(weight: torch.Tensor, std: float) -> None:
    """Fill a weight, in place, with normal numbers of mean 0.

    On the meta device, which holds no numbers, nothing is done: asked to draw some there, torch
    imports its compiler first, which takes longer than building the network.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)
