"""int8: quantising a model with a dataset's images, and what that costs in mean IoU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from perpixel.data.dataset import Dataset, Pair
from perpixel.data.sample import read_sample
from perpixel.errors import ModelError
from perpixel.inference.evaluation import evaluate
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import Runtime
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.quantisation import Quantised, quantised
from perpixel.score_map import Placement


@dataclass(frozen=True)
class Calibration:
    """What int8 needs to know.

    Args:
        dataset: ranges are measured on its split train, and mean IoU on its split val.
        images: on how many images ranges are measured, at most, evenly from all.
        max_drop: how many points of mean IoU (0 … 100) may be lost.
    """

    dataset: Dataset
    images: int = 300
    max_drop: float = 0.5


@dataclass(frozen=True)
class Int8:
    """A quantised model.

    Args:
        quantised: the graph, and which layers were left in floating point.
        before, after: mean IoU on the split val, 0 … 1.
    """

    quantised: Quantised
    before: float
    after: float

    def __str__(self) -> str:
        kept, layers = self.quantised.kept, self.quantised.layers
        names = f": {', '.join(kept)}" if kept else ""
        return (
            f"mean IoU {100 * self.before:.2f} in fp32, {100 * self.after:.2f} in int8; "
            f"{len(kept)} of {layers} layers left in fp32{names}"
        )


def quantise(
    model: Model,
    graph: Any,
    placement: Placement,
    calibration: Calibration,
    progress: Callable[[str], None],
) -> Int8:
    """Quantise a model's graph.

    Args:
        model: what the graph was made of.
        graph: an `openvino.Model` that ends at the coarse scores.
        placement: where they lie.
        calibration: with what, and how well.
        progress: told what is being done.

    Raises:
        ModelError: more mean IoU is lost than may be, whatever is left in floating point.
        DataError: the dataset has no such splits, or a file cannot be read.
        ConfigError: nncf is not installed.
    """
    train, val = (calibration.dataset.split(name) for name in ("train", "val"))
    places = np.linspace(0, len(train) - 1, min(calibration.images, len(train))).round()

    def score(runtime: Runtime, pairs: Sequence[Pair]) -> float:
        exported = Model(None, model.labels, model.preprocessing, torch.device("cpu"), runtime)
        return evaluate(exported, pairs).mean_iou

    def normalised(pair: Pair) -> Float32[np.ndarray, "1 bands H W"]:
        image = read_sample(pair, model.labels).image
        fitted = model.preprocessing.fit_bands(image, str(pair.image))
        batch = torch.from_numpy(np.array(fitted)[None])  # a copy: what is decoded is read-only
        return np.asarray(model.preprocessing(batch).numpy())

    progress("validating")
    before = score(OpenVinoRuntime(graph, placement), val)
    progress("quantising")
    found = quantised(
        graph,
        placement,
        [train[int(place)] for place in places],
        normalised,
        val,
        score,
        calibration.max_drop / 100,
    )
    progress("validating")
    after = score(OpenVinoRuntime(found.model, placement, "int8"), val)
    if 100 * (before - after) > calibration.max_drop:
        raise ModelError(
            "int8",
            found=f"mean IoU falls from {100 * before:.2f} to {100 * after:.2f}",
            expected=f"{calibration.max_drop:g} points less at most",
            mend="Nothing was written. Give more calibration images, or a larger --max-drop",
        )
    return Int8(found, before, after)
