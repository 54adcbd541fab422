"""Transposed convolutions that upsample bilinearly, and how to tell that they do."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import nn


def bilinear_weight(
    classes: int, kernel: int
) -> Float[torch.Tensor, "classes classes kernel kernel"]:
    """The weight with which a transposed convolution of stride kernel / 2 interpolates linearly
    between the centres of cells, each class on its own (Long et al. 2015, section 3.3)."""
    stride = kernel / 2
    taps = 1 - (torch.arange(kernel, dtype=torch.float64) - (stride - 0.5)).abs() / stride
    weight = torch.zeros(classes, classes, kernel, kernel)
    weight[range(classes), range(classes)] = torch.outer(taps, taps).to(torch.float32)
    return weight


def bilinear_upsampling(
    classes: int, stride: int, *, padding: int = 0, learned: bool
) -> nn.ConvTranspose2d:
    """A transposed convolution of kernel 2 × stride without bias that starts bilinear: h cells
    become (h + 1) × stride − 2 × padding.

    Args:
        classes: of the scores.
        stride: how many times as many cells there are afterwards.
        padding: how many of them are cropped from each border.
        learned: whether training changes it.
    """
    layer = nn.ConvTranspose2d(classes, classes, 2 * stride, stride, padding, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_weight(classes, 2 * stride))
    layer.weight.requires_grad_(learned)
    return layer


def is_bilinear(weight: torch.Tensor) -> bool:
    """Is this the weight of such a layer, to the precision in which files hold it?"""
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or weight.shape[2] % 2:
        return False
    kernel = weight.shape[2]
    if weight.shape[0] != weight.shape[1]:
        return False
    return torch.allclose(weight.float(), bilinear_weight(weight.shape[0], kernel), atol=1e-3)
