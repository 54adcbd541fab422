"""Where a classifier that was never trained to segment sees a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from perpixel.delivery.explain import sheet
from perpixel.delivery.explain.scored import Extent
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.pictures.legend import share_text
from perpixel.inference.test_time import resized, seen_from
from perpixel.networks.classifier import Classifier, class_called, pretrained_classifier
from perpixel.networks.convolutionalize import convolutionalize

# The image's shorter side is at least this many of the classifier's windows: else there would be
# few cells to see.
WINDOWS = 2
PANEL = 4.6  # inches
BARS = 5
COLOURS = "viridis"


@dataclass(frozen=True, eq=False)
class Location:
    """A classifier's probabilities over an image.

    Args:
        probabilities: of every class in each cell.
        extent: of the cells, in pixels of the image: each stands at the middle of its window.
        window: (H, W) of what a cell classifies, in pixels of the image.
        enlarged: how many times the image was enlarged for the classifier.
    """

    probabilities: Float32[np.ndarray, "classes rows columns"]
    extent: Extent
    window: tuple[float, float]
    enlarged: float


def location_map(image: ImageLike, name: str, *, classifier: str = "efficientnet_lite0") -> Figure:
    """The probability of an ImageNet class over an image, without any segmentation training.

    The classifier's fully connected layer becomes a convolution (Long, Shelhamer and Darrell 2015,
    section 3.1 and figure 2), so that it classifies a window around every cell of a grid in one
    pass. A small image is enlarged until two windows fit beside each other.

    Args:
        image: a path, a Pillow image or an array.
        name: one of the class's names, such as "tabby cat".
        classifier: a timm model; the weights of efficientnet_lite0 come with the installation.

    Raises:
        ConfigError: the classifier is unknown or no such network, or the class is none of its own;
            the message names those that are spelled alike.
        WeightsError: the classifier's weights cannot be found or fetched.
        DataError: the image cannot be decoded.
        ModelError: it has neither one nor three bands.
    """
    loaded = pretrained_classifier(classifier)
    index = class_called(loaded.names, name)
    array, where = decoded(image)
    found = locate(loaded, array, where)
    size = (array.shape[1], array.shape[2])
    aspect = min(max(size[0] / size[1], 0.3), 3)
    figure = sheet.blank(
        3 * PANEL + 1, PANEL * aspect + 1.2, f"{loaded.names[index]}: {classifier}"
    )
    panels = figure.subplots(1, 3)
    picture = sheet.shrunk(array)
    sheet.lay(panels[0], picture, size)
    sheet.heading(panels[0], "the image")
    _draw_map(figure, panels[1], picture, size, found, index)
    _draw_bars(panels[2], found, loaded.names, index)
    return figure


def locate(
    classifier: Classifier, image: Shaped[np.ndarray, "bands H W"], name: str = "image"
) -> Location:
    """Classify a window around every cell of a grid on the image.

    Args:
        classifier: whose head `convolutionalize` can rewrite.
        image: as it was decoded.
        name: what errors call it.

    Raises:
        ConfigError: the classifier is no such network.
        ModelError: the image has neither one nor three bands.
    """
    dense = convolutionalize(classifier.network)
    bands = np.ascontiguousarray(classifier.preprocessing.fit_bands(image, name))
    size = (image.shape[1], image.shape[2])
    enlarged = max(1.0, WINDOWS * max(dense.window) / min(size))
    with torch.inference_mode():
        batch = resized(classifier.preprocessing(torch.from_numpy(bands)[None]), enlarged)
        score_map = seen_from(dense(batch), size)
        probabilities = score_map.scores[0].softmax(dim=0).numpy()
    (stride_y, stride_x), (offset_y, offset_x) = score_map.stride, score_map.offset
    rows, columns = probabilities.shape[1:]
    extent = (
        -offset_x * stride_x,
        (columns - offset_x) * stride_x,
        (rows - offset_y) * stride_y,
        -offset_y * stride_y,
    )
    window = (dense.window[0] / enlarged, dense.window[1] / enlarged)
    return Location(probabilities, extent, window, enlarged)


def _draw_map(
    figure: Figure,
    axes: Axes,
    picture: sheet.Picture,
    size: tuple[int, int],
    found: Location,
    index: int,
) -> None:
    values = found.probabilities[index]
    sheet.lay(axes, sheet.pale(picture), size)
    highest = float(values.max())
    # Its own range: a class that is never sure still has a place where it is most likely.
    drawn = sheet.heat(axes, values, found.extent, COLOURS, Normalize(0, highest))
    sheet.scale(figure, drawn, axes, "probability in the window around a cell")
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    left, right, bottom, top = found.extent
    x = left + (float(column) + 0.5) * (right - left) / values.shape[1]
    y = top + (float(row) + 0.5) * (bottom - top) / values.shape[0]
    sheet.outline(
        axes,
        (x - found.window[1] / 2, y - found.window[0] / 2),
        (found.window[1], found.window[0]),
        sheet.ORANGE,
        dashed=True,
    )
    wins = share_text(float((found.probabilities.argmax(axis=0) == index).mean()))
    note = f"highest {highest:.2g} (its window dashed) · first in {wins} of the cells"
    if found.enlarged > 1:
        note += f"\nthe image was enlarged {found.enlarged:.2g} times"
    sheet.heading(axes, f"{values.shape[0]} × {values.shape[1]} cells", note)


def _draw_bars(axes: Axes, found: Location, names: tuple[str, ...], index: int) -> None:
    """The classes whose highest cell is highest, and the one that was asked for."""
    highest = found.probabilities.max(axis=(1, 2))
    order = np.argsort(-highest, kind="stable")[:BARS].tolist()
    shown = order if index in order else [*order, index]
    colours = [sheet.ORANGE if one == index else "0.6" for one in shown]
    labels = [sheet.short(names[one]) for one in shown]
    sheet.bars(axes, highest[shown], labels, colours)
    sheet.heading(axes, "the highest of all classes", "highest probability of a cell")
