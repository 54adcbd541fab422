"""Agreement: how near an exported file comes to the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Integer, Shaped, UInt8

from perpixel import kernels
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import Runtime, packages

# Of each image, its upper left part: so much of its height and width, made odd, and at most so many
# pixels.
SHARES = (1.0, 2 / 3, 1 / 3)
LARGEST = 769
# In floating point: what sums in another order differ by, in units of the largest score; and the
# share of pixels that may have lost a tie.
TOLERANCE = 1e-3
EQUAL = 0.999

Named = tuple[str, Shaped[np.ndarray, "bands H W"]]


@dataclass(frozen=True)
class Agreement:
    """An export and torch in fp32, on one image.

    Args:
        size: (H, W).
        difference: the largest between two scores, in units of the largest score; None where the
            export has only masks.
        equal: the share of pixels with the same class.
    """

    size: tuple[int, int]
    difference: float | None
    equal: float

    @property
    def holds(self) -> bool:
        """Whether the export computes the same network, to rounding."""
        return self.equal >= EQUAL and (self.difference is None or self.difference <= TOLERANCE)

    def __str__(self) -> str:
        pixels = f"{100 * self.equal:.3f} % of pixels equal"
        height, width = self.size
        if self.difference is None:
            return f"{height}×{width}: {pixels}"
        return f"{height}×{width}: scores differ by {self.difference:.1e} of the largest, {pixels}"


def odd_parts(images: Sequence[Named]) -> Iterator[Named]:
    """Three parts of three odd sizes, each of another image where there are three."""
    for index, share in enumerate(SHARES):
        name, image = images[index % len(images)]
        rows, columns = (
            max(1, (min(int(pixels * share), LARGEST) + 1) // 2 * 2 - 1)
            for pixels in image.shape[1:]
        )
        yield name, np.ascontiguousarray(image[:, :rows, :columns])


def score_agreement(model: Model, runtime: Runtime, images: Sequence[Named]) -> list[Agreement]:
    """A runtime against the model's own, which is torch in fp32."""
    exported = Model(None, model.labels, model.preprocessing, torch.device("cpu"), runtime)
    found = []
    for name, image in odd_parts(images):
        (expected,), (ours,) = (one.views([image], names=[name]) for one in (model, exported))
        difference = (ours.scores.float() - expected.scores).abs().max()
        largest = expected.scores.abs().max().clamp(min=1e-30)
        equal = (kernels.argmax(ours) == kernels.argmax(expected)).float().mean()
        found.append(Agreement(expected.size, float(difference / largest), float(equal)))
    return found


def mask_agreement(model: Model, graph: Path, images: Sequence[Named]) -> list[Agreement]:
    """A file with a whole graph, run by its own runtime, against the model."""
    compute = _whole_graph(graph)
    found = []
    for name, image in odd_parts(images):
        fitted = model.preprocessing.fit_bands(image, name)
        (expected,) = model.views([fitted], names=[name])
        mask = compute(np.ascontiguousarray(fitted.transpose(1, 2, 0)[None]))
        equal = (mask == kernels.argmax(expected).numpy()).mean()
        found.append(Agreement(expected.size, None, float(equal)))
    return found


def _whole_graph(
    graph: Path,
) -> Callable[[UInt8[np.ndarray, "1 H W bands"]], Integer[np.ndarray, "1 H W"]]:
    if graph.suffix == ".onnx":
        session: Any = packages.onnxruntime().InferenceSession(
            graph, providers=["CPUExecutionProvider"]
        )
        return lambda image: np.asarray(session.run(None, {"image": image})[0])
    compiled: Any = packages.openvino_core().compile_model(
        graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda image: np.asarray(compiled([image])[0])
