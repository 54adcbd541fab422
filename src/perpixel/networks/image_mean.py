"""Layers that know an image by the mean of its features, and how to give them that mean.

Such a layer looks at the whole image, but a mean can be taken piece by piece: with it, the pieces
score as the whole does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.network import Network


class MeanConv2d(nn.Conv2d):
    """A 1×1 convolution of the mean over the whole image."""

    def forward(
        self, features: Float[torch.Tensor, "batch channels h w"]
    ) -> Float[torch.Tensor, "batch width 1 1"]:
        """(B, channels, h, w) to (B, width, 1, 1)."""
        return super().forward(features.mean(dim=(2, 3), keepdim=True))


class FeaturesBefore(nn.Module):
    """A network up to its `image_mean` layer: from a canvas to the features that this layer takes
    the mean of.

    Args:
        network: with such a layer.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        # Whoever puts it in evaluation mode, and back, does so to the network.
        self.training = network.training

    def forward(
        self, canvas: Float[torch.Tensor, "batch bands rows columns"]
    ) -> Float[torch.Tensor, "batch channels h w"]:
        """The layer's input; nothing behind it is computed."""

        def stop(_layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            raise _ReachedError(inputs[0])

        hook = _layer(self.network).register_forward_pre_hook(stop)
        try:
            self.network.forward_scores(canvas)
        except _ReachedError as reached:
            return reached.features
        finally:
            hook.remove()
        raise AssertionError("the layer was not reached")


@contextmanager
def given_mean(network: Network, mean: Float[torch.Tensor, "1 channels 1 1"]) -> Iterator[None]:
    """Within it, the network's `image_mean` layer takes this for the mean of any image.

    Args:
        network: with such a layer.
        mean: of what `FeaturesBefore` puts out, over the whole canvas.
    """

    def give(_layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        features = inputs[0]
        # The mean of one cell is that cell.
        return (mean.to(features).expand(features.shape[0], -1, -1, -1),)

    hook = _layer(network).register_forward_pre_hook(give)
    try:
        yield
    finally:
        hook.remove()


def _layer(network: Network) -> Any:
    assert network.image_mean is not None
    return network.get_submodule(network.image_mean)


class _ReachedError(Exception):
    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features
