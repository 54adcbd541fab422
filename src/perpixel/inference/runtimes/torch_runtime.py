"""torch as a runtime: the module itself, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float32
from torch import nn

from perpixel.inference.runtimes.runtime import Precision, RuntimeName
from perpixel.score_map import ScoreMap

AUTOCAST: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """Runs a module in evaluation mode, and leaves it in the mode in which it found it.

    Args:
        network: from (B, bands, H, W) to a ScoreMap, on the device.
        device: where it runs.
        precision: "fp32", or "bf16" or "fp16" for autocast to it.
    """

    name: RuntimeName = "torch"

    def __init__(
        self, network: nn.Module, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        self.network = network
        self.device = device
        self.precision: Precision = precision

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size."""
        dtype = AUTOCAST.get(self.precision)
        with (
            torch.inference_mode(),
            evaluating(self.network),
            torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None),
        ):
            score_map = self.network(batch.contiguous(memory_format=torch.channels_last))
        assert isinstance(score_map, ScoreMap)
        return score_map


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and afterwards in the mode it was in."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
