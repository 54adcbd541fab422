"""Convolutions of a backbone, in the form in which a CPU computes them fastest; the weights keep
their names and their meaning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that stays in fp32 where a CPU trains under bf16 autocast.

    oneDNN's backward pass of a strided or 5×5 depthwise convolution takes two to ten times as
    long in bf16 as in fp32, while the 1×1 convolutions around it gain: with both in their faster
    precision a step of FCN-4s on efficientnet_lite0 took 0.69 s, in bf16 1.08 and in fp32 0.83.
    """

    def forward(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """(B, C, H, W) to (B, C', h, w)."""
        training = torch.is_grad_enabled() and features.device.type == "cpu"
        if training and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self.convolve(features.float())
        return self.convolve(features)

    def convolve(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """The convolution itself, in the precision of its input."""
        return super().forward(features)


class FixedPadConv2d(DepthwiseConv2d):
    """TensorFlow's "same" convolution of an image whose size is a multiple of the stride.

    Then the padding does not depend on the size: kernel − stride in all, the smaller half before.
    Where the halves differ, a row and a column of zeros before the kernel make them equal, which
    is the same arithmetic: padding the kernel costs nothing, padding the image copies it.
    """

    @property
    def total_padding(self) -> tuple[int, int]:
        """Rows and columns of zeros, those before and those behind the image together."""
        rows, columns = (
            max(dilation * (kernel - 1) + 1 - stride, 0)
            for kernel, stride, dilation in zip(
                self.kernel_size, self.stride, self.dilation, strict=True
            )
        )
        return rows, columns

    def convolve(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """Pad and convolve: (B, C, H, W) to (B, C', H / stride, W / stride)."""
        rows, columns = self.total_padding
        weight = self.weight
        if self.dilation == (1, 1):
            weight = F.pad(weight, (columns % 2, 0, rows % 2, 0))
            padding = (rows - rows // 2, columns - columns // 2)
        else:
            padding = (0, 0)
            before, after = (columns // 2, columns - columns // 2), (rows // 2, rows - rows // 2)
            features = F.pad(features, (*before, *after))
        return F.conv2d(
            features, weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


def adapt_convolutions(pyramid: nn.Module) -> None:
    """Replace, in place, those convolutions of a pyramid of timm's that have a better form here;
    weights stay the same."""
    from timm.layers.conv2d_same import Conv2dSame

    for parent in list(pyramid.modules()):
        for name, child in parent.named_children():
            if type(child) is Conv2dSame:
                setattr(parent, name, _adopted(FixedPadConv2d, child))
            elif type(child) is nn.Conv2d and child.groups == child.in_channels > 1:
                setattr(parent, name, _adopted(DepthwiseConv2d, child))


def _adopted(kind: type[DepthwiseConv2d], conv: nn.Conv2d) -> DepthwiseConv2d:
    with torch.device("meta"):  # its weights are replaced at once
        adopted = kind(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding if kind is DepthwiseConv2d else 0,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
        )
    adopted.weight, adopted.bias = conv.weight, conv.bias
    return adopted
