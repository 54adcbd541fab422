"""Convolutions of a backbone, in the form in which a CPU computes them fastest; the weights keep
their names and their meaning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn

from perpixel.kernels.depthwise import depthwise, has_depthwise_kernel

Zeros = tuple[int, int]  # rows and columns of them


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that a CPU trains in fp32, also under bf16 autocast, and whose
    gradient is then a kernel of ours where it can.

    oneDNN's backward pass of a strided or 5×5 depthwise convolution takes two to ten times as
    long in bf16 as in fp32, while the 1×1 convolutions around it gain.
    """

    @property
    def zeros(self) -> tuple[Zeros, Zeros] | None:
        """Those before and those behind the image; None where it is not padded by given numbers
        of zeros."""
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            return None
        rows, columns = self.padding
        return (rows, columns), (rows, columns)

    def forward(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """(B, C, H, W) to (B, C', h, w)."""
        if not torch.is_grad_enabled() or features.device.type != "cpu":
            return self.convolve(features)
        if torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self._with_gradient(features.float())
        return self._with_gradient(features)

    def _with_gradient(self, features: torch.Tensor) -> torch.Tensor:
        plain = self.training and self.bias is None and self.dilation == (1, 1)
        zeros = self.zeros
        if not plain or zeros is None:
            return self.convolve(features)
        if not has_depthwise_kernel(features, self.weight, self.stride):
            return self.convolve(features)
        before, after = zeros
        return depthwise(features, self.weight, stride=self.stride[0], before=before, after=after)

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

    @property
    def zeros(self) -> tuple[Zeros, Zeros]:
        """The smaller half before the image."""
        rows, columns = self.total_padding
        before = (rows // 2, columns // 2)
        return before, (rows - before[0], columns - before[1])

    def convolve(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """Pad and convolve: (B, C, H, W) to (B, C', H / stride, W / stride)."""
        before, after = self.zeros
        weight, padding = self.weight, after
        if self.dilation == (1, 1):
            weight = F.pad(weight, (after[1] - before[1], 0, after[0] - before[0], 0))
        else:
            features = F.pad(features, (before[1], after[1], before[0], after[0]))
            padding = (0, 0)
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
