"""The skips of a network whose levels are summed, and the network without the finest of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from perpixel.errors import ConfigError
from perpixel.networks.fcn import FCN
from perpixel.networks.paper_fcn import PaperFCN


def skip_layers(network: nn.Module) -> dict[int, nn.Module]:
    """The layers whose results are the skips' parts of the sum, by stride, from coarse to fine.

    Long, Shelhamer and Darrell 2015, section 4.2.

    Raises:
        ConfigError: the network has no skips, or joins them otherwise than by a sum.
    """
    if isinstance(network, FCN):
        skips = {level: network.lateral[str(level)] for level in network.levels[1:]}
    elif isinstance(network, PaperFCN):
        skips = {
            stride: network.get_submodule(score)
            for stride, (_, _, _, score, _) in zip((16, 8), network.skips, strict=False)
        }
    else:
        skips = {}
    if not skips:
        stride = getattr(network, "stride", None)
        of_stride = f" of stride {stride}" if stride else ""
        raise ConfigError(
            "network",
            found=f"a {type(network).__name__}{of_stride}, which sums no skips",
            expected="an FCN of stride 16, 8 or 4 (fcn16s to fcn4s, fcn16s-vgg16, fcn8s-vgg16)",
            mend="Use a model of one of these networks",
        )
    return skips


@contextmanager
def without(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Within it, these layers put out zeros: a sum that they are part of goes on without them."""
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
