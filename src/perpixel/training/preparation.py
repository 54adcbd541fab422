"""How a run's images are prepared: by what the weights were trained with, or by the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perpixel.checkpoint import Checkpoint
from perpixel.data.dataset import Dataset
from perpixel.data.header import read_header
from perpixel.data.scan import Scan
from perpixel.data.statistics import band_statistics, preprocessing_from
from perpixel.errors import ModelError
from perpixel.networks.weights import preprocessing_for
from perpixel.preprocessing import Preprocessing
from perpixel.training.config import TrainConfig
from perpixel.training.report import Listener

_GREY_AND_RGB = {1, 3}


def bands_taken(config: TrainConfig, seen: Scan, source: Checkpoint | None) -> int:
    """How many bands the network takes: the images', or the model's that they can be turned to."""
    if source is None or config.conversion == "none":
        return seen.bands
    theirs = source.preprocessing.bands
    converts = config.conversion == "grey-rgb" or source.preprocessing.conversion == "grey-rgb"
    return theirs if converts and {seen.bands, theirs} == _GREY_AND_RGB else seen.bands


def preparation(
    config: TrainConfig,
    seen: Scan,
    dataset: Dataset,
    backbone: str | None,
    source: Checkpoint | None,
    listener: Listener,
) -> Preprocessing:
    """The preprocessing of a run, recorded in its model.

    Given settings go first; then what the model to start from says; then mean and deviation of the
    data, for what is not 8-bit grey or RGB; then what the backbone's weights were trained with.

    Args:
        config: the run's settings.
        seen: what the training split holds.
        dataset: has a training and a validation split.
        backbone: the network's, if it has one.
        source: the model to start from, if there is one.
        listener: hears what was decided, and how many images have been read for it.

    Raises:
        ModelError: the model to start from, or the preprocessing given, is for other bands; or an
            image has others than the network takes, and is not to be converted.
        DataError: an image cannot be read, or a band has no data.
        WeightsError: what a weights file says of its input cannot be understood.
    """
    bands = bands_taken(config, seen, source)
    of_the_data = config.normalisation == "data" or (
        config.normalisation == "auto"
        and source is None
        and (seen.dtype != np.uint8 or seen.bands not in _GREY_AND_RGB)
    )
    if config.preprocessing is not None:
        chosen = config.preprocessing
    elif of_the_data:
        # Floats are measurements, of which no repetition and no luma is known.
        pictures = seen.bands in _GREY_AND_RGB and seen.dtype != np.float32
        statistics = band_statistics(dataset.split("train"), bands, listener.reading)
        chosen = preprocessing_from(
            statistics, np.dtype(seen.dtype), "grey-rgb" if pictures else "none"
        )
        listener.line(
            f"normalisation from the data: mean {_few(chosen.mean)}, deviation {_few(chosen.std)}"
        )
    elif source is not None:
        chosen = source.preprocessing
    else:
        chosen = preprocessing_for(backbone, seen.bands, config.weights)
    if config.conversion != "auto":
        chosen = chosen.model_copy(update={"conversion": config.conversion})
    if chosen.bands != bands:
        raise ModelError(
            config.init_from or "preprocessing",
            found=f"a network for {chosen.bands} bands",
            expected=f"{seen.bands}, as the data has",
            mend="Give a model that was trained on images of this kind"
            + (
                ", or convert them with --conversion grey-rgb"
                if {chosen.bands, seen.bands} == _GREY_AND_RGB
                else ""
            ),
        )
    if chosen.conversion == "none" and bands in _GREY_AND_RGB:
        for pair in (*dataset.split("train"), *dataset.split("val")):
            header = read_header(pair.image)
            # One pixel raises what the whole image would in the middle of the run.
            chosen.fit_bands(np.zeros((header.bands, 1, 1), header.dtype), str(pair.image))
    if bands != seen.bands:
        listener.line(f"conversion: {_conversion(seen.bands)}")
    return chosen


def _conversion(found: int) -> str:
    if found == 1:
        return "grey images are repeated to the network's three bands"
    return "RGB images become the network's one grey band by their luma"


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(f"{value:.4g}" for value in values[:4])
    return shown + (f" and {len(values) - 4} more" if len(values) > 4 else "")
