"""torch as a runtime, with a copy of the network that is made for inference."""

from __future__ import annotations

import threading
from dataclasses import replace

import torch
from jaxtyping import Float32
from torch import nn

from perpixel.inference.runtimes.captured import CapturedGraphs
from perpixel.inference.runtimes.dilation_measured import gains_by_shifting
from perpixel.inference.runtimes.runtime import Precision, RuntimeName
from perpixel.networks import Network
from perpixel.networks.dilated import shift_dilated
from perpixel.networks.folding import folded
from perpixel.score_map import ScoreMap

TYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class PreparedRuntime:
    """Computes a copy of a network: batch norms folded, weights in the precision and the memory
    order of the computation. On a CPU, dilated convolutions that are slow there are replaced; on a
    GPU, the work for a size of images is captured as one graph.

    The copy is made when the first images come; later changes of the network do not reach it.

    Args:
        network: on the device; it stays as it is.
        device: where it runs.
        precision: "fp32", "bf16" or "fp16". Scores are float32 in all of them.
    """

    name: RuntimeName = "torch"

    def __init__(
        self, network: Network, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        self.network = network
        self.device = device
        self.precision: Precision = precision
        self._dtype = TYPES[precision]
        self._copy: nn.Module | None = None
        self._graphs = CapturedGraphs(self._run)
        self._lock = threading.Lock()

    def prepare(self) -> nn.Module:
        """Make the copy, unless it is there already."""
        with self._lock, torch.inference_mode(False), torch.no_grad():
            if self._copy is None:
                copy = folded(self.network)
                if self._dtype != torch.float32:
                    convert(copy, self._dtype)
                copy = copy.to(memory_format=torch.channels_last)
                if self.device.type == "cpu" and self.precision == "bf16":
                    shift_dilated(copy, gains_by_shifting)
                self._copy = copy
            return self._copy

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size."""
        self.prepare()
        with torch.inference_mode():
            images = batch.to(self._dtype).contiguous(memory_format=torch.channels_last)
            if self.device.type == "cuda":
                return self._graphs(images)
            return self._run(images)

    def _run(self, images: torch.Tensor) -> ScoreMap:
        score_map: ScoreMap = self.prepare()(images)
        return replace(score_map, scores=score_map.scores.float())


def convert(network: nn.Module, dtype: torch.dtype) -> None:
    """Give a network's weights another type, in place. Batch norms that are left keep theirs:
    they take features of any type, and their statistics lose by rounding."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            continue
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)
