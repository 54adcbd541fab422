"""Dilated convolutions as one product and shifted sums, for processors that have no fast way."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn


class ShiftedProducts(nn.Module):
    """What a convolution of stride 1 computes, for inference: one 1×1 product to all taps of its
    kernel at once, and for each tap the addition of its part, shifted by the dilation.

    oneDNN's convolution with AMX reads an image's rows by tiles, which a dilation of 12 and more
    tears apart; the product is dense whatever the dilation. On a processor without AMX the
    convolution itself is faster. Sums are kept in float32.

    Args:
        conv: with zeros around the image, groups 1 and stride 1; it keeps the size.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert is_shiftable(conv)
        self.kernel_size = conv.kernel_size
        self.dilation = conv.dilation
        taps = conv.weight.detach().permute(2, 3, 0, 1)  # (rows, columns, out, in)
        weight = taps.flatten(0, 2)[:, :, None, None]  # (rows · columns · out, in, 1, 1)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().float())

    def forward(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels H W"]:
        """(B, C, H, W) to (B, C', H, W)."""
        height, width = features.shape[2:]
        rows, columns = self.kernel_size
        products = F.conv2d(features, self.weight)  # (B, taps · C', H, W)
        products = products.view(
            -1, rows * columns, self.weight.shape[0] // (rows * columns), height, width
        )
        middle = products[:, products.shape[1] // 2]
        sums = middle.to(torch.float32, copy=True)
        for tap in range(rows * columns):
            down = (tap // columns - rows // 2) * self.dilation[0]
            right = (tap % columns - columns // 2) * self.dilation[1]
            if (down, right) == (0, 0) or abs(down) >= height or abs(right) >= width:
                continue
            here = (_inside(height, -down), _inside(width, -right))
            there = (_inside(height, down), _inside(width, right))
            sums[:, :, here[0], here[1]] += products[:, tap, :, there[0], there[1]]
        if self.bias is not None:
            sums += self.bias.view(1, -1, 1, 1)
        return sums.to(features.dtype)


def is_shiftable(layer: nn.Module) -> bool:
    """Whether `ShiftedProducts` can compute this layer: a plain convolution of odd kernel, stride
    1 and groups 1 that keeps the size."""
    if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    kept = tuple(
        dilation * (kernel - 1) // 2
        for kernel, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
    )
    odd = all(kernel % 2 for kernel in layer.kernel_size)
    return odd and layer.stride == (1, 1) and layer.groups == 1 and layer.padding in (kept, "same")


def shift_dilated(network: nn.Module, gains: Callable[[nn.Conv2d], bool]) -> None:
    """Replace, in place, those convolutions that can be shifted products and gain by it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and is_shiftable(child) and gains(child):
                setattr(parent, name, ShiftedProducts(child).eval())


def _inside(length: int, shift: int) -> slice:
    """The places whose shifted copy lies inside as well, from where the copy is read."""
    return slice(max(shift, 0), length + min(shift, 0))
