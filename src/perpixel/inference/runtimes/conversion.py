"""From a network to graphs that other runtimes compute: torch's own, ONNX's and OpenVINO's.

Batch, height and width are free in all of them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.graphs import CoarseGraph, FullGraph

OPSET = 18
Graph = CoarseGraph | FullGraph


def to_program(graph: Graph) -> ExportedProgram:
    """The graph as torch's program."""
    axes = [axis for axis, name in enumerate(graph.inputs[1:]) if name != "bands"]
    free = dict.fromkeys(axes, Dim.DYNAMIC)
    with torch.no_grad(), _quiet():
        return torch.export.export(graph.eval(), (graph.example(),), dynamic_shapes=(free,))


def to_onnx(graph: Graph) -> Any:
    """The graph as an `onnx.ModelProto`.

    Raises:
        ConfigError: onnx or onnxscript is not installed.
    """
    packages.onnx()
    packages.onnxscript()
    program = to_program(graph)
    with torch.no_grad(), _quiet():
        converted = torch.onnx.export(
            program,
            (),
            dynamo=True,
            opset_version=OPSET,
            input_names=[graph.inputs[0]],
            output_names=[graph.outputs[0]],
            verbose=False,
            optimize=True,
        )
    assert converted is not None
    proto: Any = converted.model_proto
    # The tracer's symbols mean nothing to a reader.
    del proto.graph.value_info[:]
    (first,), (last,) = proto.graph.input, proto.graph.output
    for value, names in ((first, graph.inputs), (last, graph.outputs)):
        for dim, name in zip(value.type.tensor_type.shape.dim, names[1:], strict=True):
            if not dim.HasField("dim_value"):
                dim.dim_param = name
    return proto


def to_openvino(graph: Graph) -> Any:
    """The graph as an `openvino.Model`, by way of ONNX: OpenVINO's own reader of torch's programs
    lacks some of the arithmetic of free sizes.

    Raises:
        ConfigError: openvino, onnx or onnxscript is not installed.
    """
    core = packages.openvino_core()
    return core.read_model(to_onnx(graph).SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the converters' warnings and log, which are about themselves."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
