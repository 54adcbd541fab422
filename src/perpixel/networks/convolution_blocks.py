"""The blocks that decoders are made of: a convolution, batch norm and ReLU; plain or separable."""

from __future__ import annotations

from torch import nn

from perpixel.networks.convolution import DepthwiseConv2d


def convolution_block(
    channels: int, width: int, kernel: int = 3, dilation: int = 1, *, separable: bool = False
) -> nn.Sequential:
    """A convolution that keeps the size (stride 1), batch norm, ReLU: `channels` to `width`.

    Separable, it is a depthwise convolution and a 1×1 one, with batch norm and ReLU after each
    (Chen et al. 2018, arXiv:1802.02611, section 3.2; ReLU between them as in section 4).
    """
    padding = dilation * (kernel - 1) // 2
    if not separable:
        return nn.Sequential(
            nn.Conv2d(channels, width, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
    return nn.Sequential(
        DepthwiseConv2d(
            channels,
            channels,
            kernel,
            padding=padding,
            dilation=dilation,
            groups=channels,
            bias=False,
        ),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        *convolution_block(channels, width, 1),
    )
