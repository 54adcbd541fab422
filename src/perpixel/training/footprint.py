"""What memory a training step needs, counted on tensors that have no memory."""

from __future__ import annotations

import os

import torch

from perpixel.data.scan import Scan
from perpixel.errors import TrainingError
from perpixel.machine import available_memory
from perpixel.networks import NetworkConfig, build
from perpixel.training.config import TrainConfig
from perpixel.training.processes import Processes

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


def refuse_what_does_not_fit(
    config: TrainConfig, network: NetworkConfig, seen: Scan, processes: Processes
) -> None:
    """On a CPU, refuse a step that needs more memory than is free.

    Nobody would hear of it otherwise: the kernel kills a process that takes too much, without a
    word. On a GPU an allocation fails, and the step is taken in parts.

    Args:
        config: with every setting decided.
        network: the network.
        seen: what the training split holds.
        processes: that share a step.

    Raises:
        TrainingError: the step would not fit.
    """
    if processes.device.type != "cpu":
        return
    size = config.augmentation.crop
    if size is None:
        size = max(seen.sizes, key=lambda size: size[0] * size[1])
    # Those on this machine share its memory.
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    images = -(-config.batch_size // processes.world)
    free = available_memory() // here

    def fits(parts: int) -> bool:
        return step_bytes(network, size, -(-images // parts)) <= free

    if fits(config.accumulate):
        return
    needed = step_bytes(network, size, -(-images // config.accumulate))
    enough = [parts for parts in range(config.accumulate + 1, images + 1) if fits(parts)]
    mend = "Give a smaller --crop or a lighter --network"
    if enough:
        mend = f"Give --accumulate {enough[0]}, with the same result but for batch norms, or a "
        mend += "smaller --batch-size or --crop"
    raise TrainingError(
        f"batch {config.batch_size}",
        found=f"a step of {size[0]}×{size[1]} needs about {needed / 2**30:.1f} GiB",
        expected=f"at most the {free / 2**30:.1f} GiB that are free",
        mend=mend,
    )
