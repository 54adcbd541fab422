"""Options of what computes a model, which several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

_Runtime = Literal["auto", "torch", "onnxruntime", "openvino"]
_Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
_runtime = typer.Option("--runtime", help="What computes the network; auto: the fastest here.")
_precision = typer.Option(
    "--precision", help="In which numbers; auto: the fastest of fp32 and bf16 here."
)
RuntimeOption = Annotated[_Runtime, _runtime]
PrecisionOption = Annotated[_Precision, _precision]
# None: the command decides by the model.
RuntimeByModel = Annotated[_Runtime | None, _runtime]
PrecisionByModel = Annotated[_Precision | None, _precision]
