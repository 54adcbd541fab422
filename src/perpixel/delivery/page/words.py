"""What the page says: the classes' switches, captions and messages. Names come from model files
and uploads, so all that becomes HTML is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from perpixel.inference.pictures.legend import share_text
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

WELCOME = "Drop, paste or photograph an image, or take an example."

STRIDES = (
    "The mask of the same network with more and more of its skips: what the finer scores add to "
    "the coarse ones. The network is run once for each."
)


def switches(segmentation: Segmentation) -> list[tuple[str, str]]:
    """What is written on the switch of each class in the mask, and its index as the switch's
    value; the largest class first."""
    labels, areas = segmentation.labels, segmentation.areas()
    present = np.flatnonzero(labels.pixels_by_class(segmentation.mask)).tolist()
    present.sort(key=lambda index: -areas[labels.names[index]])
    return [
        (f"{labels.names[index]} · {share_text(areas[labels.names[index]])}", str(index))
        for index in present
    ]


def swatches(labels: LabelSpace, values: Iterable[str]) -> str:
    """A style that gives each of these switches a patch of its class's colour."""
    rules = "".join(
        f'#classes input[name="{value}"] + span::before '
        f"{{ background: rgb{labels.colours[int(value)]}; }}\n"
        for value in values
    )
    return f"<style>\n{rules}</style>"


def summary(name: str, segmentation: Segmentation) -> str:
    """A line about a result."""
    height, width = segmentation.mask.shape
    classes = len(switches(segmentation))
    return message(
        f"{name}: {width} × {height} pixels, {classes} "
        f"{'class' if classes == 1 else 'classes'}, "
        f"mean confidence {segmentation.confidence.mean():.2f}."
    )


def message(text: str) -> str:
    """A line that screen readers read out when they find time."""
    return f'<p role="status">{escape(text)}</p>'


def refusal(text: str) -> str:
    """A line that says what went wrong; screen readers read it out at once."""
    return f'<p role="alert" class="refusal">{escape(text)}</p>'


def scale(colours: str, low: str, high: str) -> str:
    """The bar that says what the colours of a map mean, from 0 to 1."""
    stops = ", ".join(
        to_hex(colour) for colour in matplotlib.colormaps[colours](np.linspace(0, 1, 9))
    )
    return (
        f'<div class="scale"><span>0 {escape(low)}</span>'
        f'<span class="bar" style="background: linear-gradient(to right, {stops})"></span>'
        f"<span>1 {escape(high)}</span></div>"
    )


def heat_caption(name: str, highest: float, share: float) -> str:
    """Beneath a heat map."""
    return message(
        f"{name}: highest probability {highest:.2f}; the most probable class on "
        f"{share_text(share)} of the image."
    )


def stride_caption(stride: int, changed: float | None) -> str:
    """Beneath the mask of a stride."""
    if changed is None:
        return f"Stride {stride}: the deepest level alone"
    return f"Stride {stride}: its skip changed {share_text(changed)}"
