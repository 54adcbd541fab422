"""ONNX Runtime as a runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.runtime import Precision, RuntimeName
from perpixel.score_map import Placement, ScoreMap


class OnnxRuntime:
    """Computes a graph from normalised images to coarse scores, on as many threads as torch has.

    Args:
        graph: an ONNX file, or its bytes.
        placement: where its scores lie.

    Raises:
        ConfigError: onnxruntime is not installed.
    """

    name: RuntimeName = "onnxruntime"
    precision: Precision = "fp32"

    def __init__(self, graph: bytes | Path, placement: Placement) -> None:
        onnxruntime = packages.onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads would spin after each image, on the cores that finish the mask.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.placement = placement
        self._session = onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._input = self._session.get_inputs()[0].name

    @property
    def metadata(self) -> dict[str, str]:
        """What the graph's file says of itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size."""
        # Not by torch, whose threads would spin on after it beside the runtime's own.
        images = np.ascontiguousarray(batch.cpu().numpy())
        (scores,) = self._session.run(None, {self._input: images})
        height, width = batch.shape[2:]
        return self.placement.of(torch.from_numpy(scores), (height, width))
