"""EfficientNet-Lite, the backbone of the light networks: a pyramid of five features."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.convolution import DepthwiseConv2d, FixedPadConv2d
from perpixel.networks.initial import draw_normal

STEM = 32  # channels, whatever the width
EPSILON = 1e-3  # of batch norms, as TensorFlow has it
# For each stage: kernel, stride, expansion, channels, blocks (Tan and Le 2019, arXiv:1905.11946,
# table 1, without squeeze-and-excitation).
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# The stages whose results are features: the last of each stride.
TAPS = (0, 1, 2, 4, 6)
# Multiples of channels and of blocks (table 1 of the Lite variants' release).
SIZES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
    "efficientnet_lite3": (1.2, 1.4),
    "efficientnet_lite4": (1.4, 1.8),
}


class EfficientNetLite(nn.Module):
    """An EfficientNet without squeeze-and-excitation and with ReLU6, up to its last block. Weights
    have the names of timm's `tf_efficientnet_lite0` to 4.

    Args:
        name: one of `SIZES`.
        bands: how many bands the images have.
        output_stride: the largest stride; deeper stages dilate their convolutions instead.

    Attributes:
        strides, channels: of the five features.
    """

    def __init__(self, name: str, bands: int = 3, output_stride: int = 32) -> None:
        super().__init__()
        width, depth = SIZES[name]
        self.conv_stem = _same(bands, STEM, 3, 2)
        self.bn1 = _norm(STEM)
        self.act = nn.ReLU6(inplace=True)
        self.strides: list[int] = []
        self.channels: list[int] = []
        stages: list[nn.Module] = []
        before, reached, dilation = STEM, 2, 1
        for number, (kernel, stage_stride, expansion, channels, count) in enumerate(STAGES):
            # The first and the last stage are as deep in all sizes.
            fixed = number in (0, len(STAGES) - 1)
            after = _rounded(channels * width)
            blocks: list[nn.Module] = []
            for index in range(count if fixed else math.ceil(count * depth)):
                stride = stage_stride if index == 0 else 1
                wider = 1
                if reached * stride > output_stride:
                    # What would have halved the size looks twice as far from the next block on.
                    stride, wider = 1, stride
                shape = (before, after, kernel, stride, dilation)
                blocks.append(
                    _Separable(*shape) if expansion == 1 else _InvertedResidual(*shape, expansion)
                )
                before, reached, dilation = after, reached * stride, dilation * wider
            stages.append(nn.Sequential(*blocks))
            if number in TAPS:
                self.strides.append(reached)
                self.channels.append(after)
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                draw_normal(module.weight, math.sqrt(2 / fan_out))

    def forward(
        self, images: Float[torch.Tensor, "batch bands H W"]
    ) -> list[Float[torch.Tensor, "batch channels h w"]]:
        """The five features, from fine to coarse; H and W are multiples of 32."""
        features = self.act(self.bn1(self.conv_stem(images)))
        taken = []
        for number, stage in enumerate(self.blocks):
            features = stage(features)
            if number in TAPS:
                taken.append(features)
        return taken


class _Separable(nn.Module):
    """A depthwise-separable convolution."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.residual = stride == 1 and before == after
        self.conv_dw = _same(before, before, kernel, stride, dilation, groups=before)
        self.bn1 = _norm(before)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = _norm(after)

    def forward(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = self.act(self.bn1(self.conv_dw(features)))
        result: torch.Tensor = self.bn2(self.conv_pw(inner))
        return result + features if self.residual else result


class _InvertedResidual(nn.Module):
    """Wide within, narrow at both ends (Sandler et al. 2018, section 3.3)."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int, dilation: int, expansion: int
    ) -> None:
        super().__init__()
        wide = before * expansion
        self.residual = stride == 1 and before == after
        self.conv_pw = nn.Conv2d(before, wide, 1, bias=False)
        self.bn1 = _norm(wide)
        self.conv_dw = _same(wide, wide, kernel, stride, dilation, groups=wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = nn.Conv2d(wide, after, 1, bias=False)
        self.bn3 = _norm(after)
        self.act = nn.ReLU6(inplace=True)

    def forward(
        self, features: Float[torch.Tensor, "batch channels H W"]
    ) -> Float[torch.Tensor, "batch out_channels h w"]:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = self.act(self.bn1(self.conv_pw(features)))
        inner = self.act(self.bn2(self.conv_dw(inner)))
        result: torch.Tensor = self.bn3(self.conv_pwl(inner))
        return result + features if self.residual else result


def _same(
    before: int, after: int, kernel: int, stride: int, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """TensorFlow's "same" convolution; with stride 1 the padding is alike on both sides."""
    if stride > 1:
        return FixedPadConv2d(
            before, after, kernel, stride, dilation=dilation, groups=groups, bias=False
        )
    padding = dilation * (kernel - 1) // 2
    return DepthwiseConv2d(
        before, after, kernel, padding=padding, dilation=dilation, groups=groups, bias=False
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _rounded(channels: float) -> int:
    """To a multiple of 8, and never by more than a tenth down."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
