"""Runtime: the one interface behind which torch and the other runtimes stand."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float32

from perpixel.score_map import ScoreMap

RuntimeName = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]


@runtime_checkable
class Runtime(Protocol):
    """From normalised images to coarse scores.

    Attributes:
        name: what computes.
        precision: in which numbers the network computes; the scores' type is the runtime's own.
    """

    @property
    def name(self) -> RuntimeName: ...

    @property
    def precision(self) -> Precision: ...

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size, any from 1×1 up. They keep their borders: the
        network's own padding is the runtime's work."""
        ...
