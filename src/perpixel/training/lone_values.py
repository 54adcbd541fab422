"""Batch norms that would see a single value: refused before a run instead of failing within it."""

from __future__ import annotations

from collections.abc import Collection

import torch

from perpixel.errors import ConfigError
from perpixel.networks import NetworkConfig, build
from perpixel.training import batch_norm
from perpixel.training.config import TrainConfig
from perpixel.training.processes import Processes


def refuse_lone_values(
    config: TrainConfig,
    network: NetworkConfig,
    sizes: Collection[tuple[int, int]],
    images: int,
    processes: Processes,
) -> None:
    """Refuse parts of one image that is so small that its coarsest features are one pixel.

    A batch norm cannot learn from one value for each channel. The forward pass runs on the meta
    device: nothing is computed or allocated.

    Args:
        config: with every setting decided.
        network: the network.
        sizes: (H, W) of the training images.
        images: how many there are.
        processes: that share a step.

    Raises:
        ConfigError: a batch norm would see one value.
    """
    share = max(min(config.batch_size, images) // processes.world, 1)
    own = batch_norm.chosen(config.batch_norm, processes, config.batch_size) == "own"
    if not own or share // config.accumulate > 1:
        return
    # Whole images of one batch are padded to the largest of them.
    pick = min if share == 1 else max
    size = config.augmentation.crop or pick(sizes, key=lambda size: size[0] * size[1])
    try:
        with torch.device("meta"), torch.no_grad():
            build(network).train()(torch.empty(1, network.bands, *size))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            f"batch {config.batch_size}",
            found=f"parts of one image of {size[0]}×{size[1]}, whose coarsest features are one "
            "pixel: a batch norm cannot learn from it",
            expected="two images in a part, or larger ones",
            mend="Give a larger --crop or --batch-size, a smaller --accumulate, or --batch-norm "
            "frozen",
        ) from None
