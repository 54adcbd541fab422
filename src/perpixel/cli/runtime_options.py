"""Options of what computes a model, which several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

RuntimeOption = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"],
    typer.Option("--runtime", help="What computes the network; auto: the fastest here."),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option("--precision", help="In which numbers; auto: the fastest of fp32 and bf16 here."),
]
