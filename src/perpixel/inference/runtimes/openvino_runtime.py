"""OpenVINO as a runtime."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.runtime import Precision, RuntimeName
from perpixel.score_map import Placement, ScoreMap

HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoRuntime:
    """Computes a graph from normalised images to coarse scores, on as many threads as torch has.

    Args:
        graph: an `openvino.Model`.
        placement: where its scores lie.
        precision: "fp32" or "bf16"; "int8" for a quantised graph.

    Raises:
        ConfigError: openvino is not installed.
    """

    name: RuntimeName = "openvino"

    def __init__(self, graph: Any, placement: Placement, precision: Precision = "fp32") -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._take(
            packages.openvino_core().compile_model(graph, "CPU", settings), placement, precision
        )

    @classmethod
    def compiled(cls, graph: Any, placement: Placement) -> OpenVinoRuntime:
        """The runtime of an int8 graph that is an `openvino.CompiledModel` already."""
        runtime = cls.__new__(cls)
        runtime._take(graph, placement, "int8")
        return runtime

    def _take(self, compiled: Any, placement: Placement, precision: Precision) -> None:
        self._compiled = compiled
        self.placement = placement
        self.precision: Precision = precision
        # A request computes one batch at a time: every thread has its own.
        self._local = threading.local()

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        # Not by torch, whose threads would spin on after it beside the runtime's own.
        images = np.ascontiguousarray(batch.cpu().numpy())
        results = self._local.request.infer([images], share_inputs=True, share_outputs=False)
        height, width = batch.shape[2:]
        return self.placement.of(torch.from_numpy(results[0]), (height, width))
