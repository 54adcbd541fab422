"""int8 for OpenVINO: post-training quantisation, with sensitive layers left as they were."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float32

from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.runtime import Runtime
from perpixel.score_map import Placement

Item = TypeVar("Item")
# What carries nearly all of a network's arithmetic.
MULTIPLYING = ("Convolution", "GroupConvolution", "ConvolutionBackpropData",
               "GroupConvolutionBackpropData", "MatMul")  # fmt: skip
# On how many items it is measured what a layer costs; the result is measured on all.
RANKED = 40
CARRYING = ("Reshape", "Convert", "Multiply", "Subtract", "Transpose")


@dataclass(frozen=True)
class Quantised:
    """A quantised graph.

    Args:
        model: an `openvino.Model`.
        kept: the names of the layers that were left in floating point.
        layers: how many layers multiply, those included.
    """

    model: Any
    kept: tuple[str, ...]
    layers: int


def quantised(
    model: Any,
    placement: Placement,
    calibration: Sequence[Item],
    normalised: Callable[[Item], Float32[np.ndarray, "1 bands H W"]],
    validation: Sequence[Item],
    score: Callable[[Runtime, Sequence[Item]], float],
    max_drop: float,
) -> Quantised:
    """The graph with int8 weights and features, its score at most `max_drop` lower.

    Ranges are those of the calibration images; where the score falls further, the layers that cost
    most of it go back to floating point, one after the other.

    Args:
        model: an `openvino.Model` from normalised images to coarse scores.
        placement: where the scores lie.
        calibration: what ranges are measured on, each made the graph's input by `normalised`.
        validation, score: a score, the higher the better, of a runtime on some of these.
        max_drop: in the score's units.

    Raises:
        ConfigError: nncf is not installed.
    """
    nncf = packages.nncf()

    def validate(compiled: Any, items: Any) -> tuple[float, None]:
        return score(OpenVinoRuntime.compiled(compiled, placement), list(items)), None

    # NNCF draws its own bars, on the caller's output.
    with (
        packages.sharing_the_core(),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        found = nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=nncf.Dataset(calibration, normalised),
            validation_dataset=nncf.Dataset(validation),
            validation_fn=validate,
            max_drop=max_drop,
            drop_type=nncf.DropType.ABSOLUTE,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=RANKED, num_ranking_workers=1
            ),
        )
    layers = [one for one in found.get_ops() if one.get_type_name() in MULTIPLYING]
    kept = tuple(one.get_friendly_name() for one in layers if not _is_int8(one))
    return Quantised(found, kept, len(layers))


def _is_int8(layer: Any) -> bool:
    """Whether a layer's weights are stored in eight bits."""
    source = layer.input_value(1).get_node()
    while source.get_type_name() in CARRYING:
        source = source.input_value(0).get_node()
    if source.get_type_name() == "FakeQuantize":
        return True
    return source.get_element_type().get_type_name() in ("i8", "u8")
