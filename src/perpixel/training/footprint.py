"""What memory a training step needs, counted on tensors that have no memory."""

from __future__ import annotations

import torch

from perpixel.networks import NetworkConfig, build

# Beside what is kept for the backward pass, gradients of the largest layers and the workspace of
# convolutions are alive for a while.
TRANSIENT = 1.3
# Weights, gradients, two moments of AdamW, and the averaged weights.
COPIES_OF_WEIGHTS = 5


def step_bytes(config: NetworkConfig, size: tuple[int, int], batch_size: int) -> int:
    """About how many bytes a training step in fp32 holds at its peak.

    The forward pass runs on the meta device, and what it keeps for the backward pass is counted:
    nothing is computed or allocated.

    Args:
        config: the network.
        size: (H, W) of what a step sees of an image.
        batch_size: images in a step.
    """
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # The tensor is held, so that no other gets its storage's address.
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        network = build(config).train()
        images = torch.empty(2, config.bands, *size)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            scores = network(images).scores
    weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
    activations = sum(
        tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in weights
    )
    del scores
    parameters = sum(weight.numel() * 4 for weight in network.parameters())
    return int(activations / 2 * batch_size * TRANSIENT) + COPIES_OF_WEIGHTS * parameters
