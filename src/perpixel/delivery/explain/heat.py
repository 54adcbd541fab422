"""Where in the image is each class: the probabilities in the network's own coarse cells."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from perpixel.delivery.explain import sheet
from perpixel.delivery.explain.scored import cell_probabilities, scored
from perpixel.errors import ConfigError
from perpixel.inference.image import ImageLike
from perpixel.inference.pictures.legend import share_text
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace

# Of more classes, those with the highest probabilities are shown.
MOST_PANELS = 24
PANEL = 2.9  # inches
COLOURS = "viridis"


def heat_maps(model: Model, image: ImageLike, classes: Sequence[str] | None = None) -> Figure:
    """A panel for each class: its probability in every cell of the scores, before upsampling.

    Long, Shelhamer and Darrell 2015, figure 2: a classifier made fully convolutional puts out a
    heat map. Each panel's title says the highest probability of a cell and the share of the
    image's pixels that the class wins after upsampling.

    Args:
        model: what predicts.
        image: a path, a Pillow image or an array, as `Model.predict` takes it.
        classes: the names of those that are shown; None: all, of more than 24 those with the
            highest probabilities.

    Raises:
        ConfigError: a name is none of the model's classes.
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes.
    """
    labels = model.labels
    asked = None if classes is None else [class_index(labels, name) for name in classes]
    found = scored(model, image)
    values, extent = cell_probabilities(found.score_map)
    shown = asked if asked is not None else _highest(values)
    shares = labels.pixels_by_class(found.mask()) / math.prod(found.size)
    stride = found.score_map.stride
    title = (
        "class probabilities before upsampling: "
        f"{values.shape[1]} × {values.shape[2]} cells of {_pixels(stride)} pixels"
    )
    if asked is None and len(shown) < labels.classes:
        title += f" ({len(shown)} of {labels.classes} classes)"
    height, width = found.size
    panels = len(shown) + 1
    columns = panels
    if panels > 4:
        columns = min(panels, max(2, round(math.sqrt(panels * 1.5 * height / width))))
    rows = math.ceil(panels / columns)
    figure = sheet.blank(
        max(5.5, PANEL * columns + 1),
        PANEL * min(max(height / width, 0.3), 3) * rows + 0.45 * rows + 0.7,
        title,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    every = list(grid.flat)
    picture = sheet.shrunk(found.image)
    ground = sheet.pale(picture)
    sheet.lay(every[0], picture, found.size)
    sheet.heading(every[0], "the image")
    for axes, index in zip(every[1:], shown, strict=False):
        sheet.lay(axes, ground, found.size)
        drawn = sheet.heat(axes, values[index], extent, COLOURS, Normalize(0, 1))
        highest, share = float(values[index].max()), share_text(float(shares[index]))
        sheet.heading(
            axes, sheet.short(labels.names[index]), f"highest {highest:.2f} · {share} of the pixels"
        )
        for spine in axes.spines.values():
            spine.set(edgecolor=sheet.rgb(labels.colours[index]), linewidth=3)
    for axes in every[panels:]:
        axes.set_axis_off()
    if shown:
        sheet.scale(figure, drawn, every, "probability of the class in a cell")
    return figure


def class_index(labels: LabelSpace, name: str) -> int:
    """The index of the class of that name.

    Raises:
        ConfigError: there is none; the message names those that are spelled like it.
    """
    if name in labels.names:
        return labels.names.index(name)
    close = difflib.get_close_matches(name, labels.names, n=3, cutoff=0.5)
    known = " or ".join(map(repr, close)) or f"one of {', '.join(labels.names[:12])}"
    raise ConfigError("class", found=f"the model knows no {name!r}", mend=f"Give {known}")


def _highest(values: Float32[np.ndarray, "classes rows columns"]) -> list[int]:
    """The classes with the highest probabilities, in the label space's order."""
    order = np.argsort(-values.max(axis=(1, 2)), kind="stable")[:MOST_PANELS]
    return sorted(order.tolist())


def _pixels(stride: tuple[float, float]) -> str:
    return " × ".join(f"{side:.4g}" for side in stride)
