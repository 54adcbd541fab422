"""What the explanations' figures share: the photograph as a ground, cells laid on it, and classes
that are told apart by their names as well as by their colours."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Integer, Shaped, UInt8
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch, Rectangle

from perpixel.delivery.explain.scored import Extent
from perpixel.inference.pictures.display import displayable
from perpixel.inference.pictures.legend import share_text
from perpixel.labels import LabelSpace

Picture = UInt8[np.ndarray, "h w 3"]
# The longer side of what is drawn of an image, in pixels: more would not be seen in a panel.
LARGEST = 1200
DOTS_PER_INCH = 110
LONGEST_NAME = 26
# Where heat lies on it a photograph is grey and pale, so that lightness means the heat alone.
PALE = 0.55
OPACITY = 0.6
# The height of a name in a panel, as a share of its longer side.
NAME_HEIGHT = 0.036
# Apart in lightness as well as in hue.
ORANGE, BLUE = "#d95f02", "#1f4fd0"
OUTLINE = (patheffects.withStroke(linewidth=2.5, foreground="black"),)


def blank(width: float, height: float, title: str) -> Figure:
    """An empty figure of that many inches with a heading."""
    engine = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=engine)
    lines = textwrap.wrap(title, max(24, int(width * 11)))
    figure.suptitle("\n".join(lines), fontsize=12, parse_math=False)
    return figure


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def shrunk(image: Shaped[np.ndarray, "bands H W"]) -> Picture:
    """The image as 8-bit RGB for the eye, its longer side at most `LARGEST` pixels."""
    picture = displayable(image)
    times = max(picture.shape[:2]) / LARGEST
    if times <= 1:
        return picture
    size = (max(1, round(picture.shape[1] / times)), max(1, round(picture.shape[0] / times)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def pale(picture: Picture) -> Picture:
    """The picture in pale greys, as a ground for heat."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = 255 - PALE * (255 - grey)
    return np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)


def lay(axes: Axes, picture: Picture, size: tuple[int, int]) -> AxesImage:
    """Show a picture of the whole image; the axes then count the image's pixels from its edges.

    Args:
        picture: of any resolution.
        size: (H, W) of the image.
    """
    height, width = size
    shown = axes.imshow(picture, extent=(0, width, height, 0), interpolation="antialiased")
    frame(axes, size)
    return shown


def frame(axes: Axes, size: tuple[int, int]) -> None:
    """Show exactly the image, without ticks."""
    axes.set(xlim=(0, size[1]), ylim=(size[0], 0), xticks=[], yticks=[], aspect="equal")


def heading(axes: Axes, text: str, note: str = "") -> None:
    """A panel's title, and a line in smaller letters beneath the panel. Names are no formulas."""
    axes.set_title(text, fontsize=10, parse_math=False)
    axes.set_xlabel(note, fontsize=8.5, parse_math=False)


def scale(figure: Figure, shown: AxesImage, axes: Axes | Sequence[Axes], what: str) -> Colorbar:
    """The bar that says what the colours of a map mean."""
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(what, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return bar


def rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """matplotlib's colour of a class's."""
    red, green, blue = (value / 255 for value in colour)
    return red, green, blue


def short(name: str) -> str:
    """A class's name, cut where a panel has no room for it."""
    return textwrap.shorten(name, LONGEST_NAME, placeholder="…") or f"{name[: LONGEST_NAME - 1]}…"


def mask_picture(
    picture: Picture, mask: Integer[np.ndarray, "H W"], labels: LabelSpace, opacity: float = 0.6
) -> Picture:
    """The mask's colours over the picture, in the picture's resolution."""
    small = resampled(mask, picture.shape[:2])
    coloured = labels.colourise(small)
    return np.asarray(cv2.addWeighted(coloured, opacity, picture, 1 - opacity, 0.0))


def resampled(values: Shaped[np.ndarray, "H W"], size: tuple[int, int]) -> np.ndarray:
    """The nearest values at another size."""
    rows = (np.arange(size[0]) + 0.5) * values.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * values.shape[1] / size[1]
    return np.asarray(values[rows.astype(int)][:, columns.astype(int)])


def write_names(axes: Axes, mask: Integer[np.ndarray, "H W"], labels: LabelSpace) -> None:
    """Write each class's name into its largest region, the largest first, where there is room: a
    region that is not tiny, and no other name."""
    step = max(1, math.ceil(max(mask.shape) / 400))
    sketch = mask[::step, ::step]
    roomy = []
    for index in np.unique(sketch[labels.labelled(sketch)]).tolist():
        region = np.pad((sketch == index).view(np.uint8), 1)
        room = cv2.distanceTransform(region, cv2.DIST_L2, 3)
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        if room[row, column] > 0.03 * max(sketch.shape):
            place = (float(column) - 0.5, float(row) - 0.5)
            roomy.append((float(room[row, column]), *place, index))
    high = NAME_HEIGHT * max(sketch.shape)
    taken: list[tuple[float, float, float]] = []
    for _, x, y, index in sorted(roomy, reverse=True):
        name = short(labels.names[index])
        half = 0.3 * high * len(name)
        if any(abs(x - a) < half + other and abs(y - b) < high for a, b, other in taken):
            continue
        taken.append((x, y, half))
        axes.text(
            x * step,
            y * step,
            name,
            fontsize=7.5,
            color="white",
            ha="center",
            va="center",
            path_effects=OUTLINE,
            clip_on=True,
            parse_math=False,
        )


def legend(figure: Figure, labels: LabelSpace, shares: Sequence[float]) -> None:
    """Below the panels: colour, name and share of every class that the share is not 0 of."""
    present = sorted(np.flatnonzero(shares).tolist(), key=lambda index: -shares[index])
    if not present:
        return
    patches = [
        Patch(
            facecolor=rgb(labels.colours[index]),
            edgecolor="0.4",
            label=f"{short(labels.names[index])} {share_text(shares[index])}",
        )
        for index in present
    ]
    columns = max(1, int(figure.get_figwidth() / 1.9))
    drawn = figure.legend(
        handles=patches, loc="outside lower center", ncols=columns, fontsize=8.5, frameon=False
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)


def heat(
    axes: Axes, values: Float[np.ndarray, "h w"], extent: Extent, colours: str, norm: Normalize
) -> AxesImage:
    """Lay a map of cells on a pale photograph; every cell stays a square of one colour.

    Args:
        values: one for each cell.
        extent: where the map lies.
        colours: a colour map's name.
        norm: from values to its range.
    """
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    shown = axes.imshow(
        values, colours, norm, extent=extent, interpolation="nearest", alpha=OPACITY
    )
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return shown


def outline(
    axes: Axes,
    corner: tuple[float, float],
    sides: tuple[float, float],
    colour: str,
    *,
    dashed: bool = False,
) -> None:
    """A rectangle of (width, height) from its upper left corner (x, y), in pixels."""
    style = "--" if dashed else "-"
    box = Rectangle(corner, *sides, fill=False, edgecolor=colour, linewidth=2.5, linestyle=style)
    axes.add_patch(box)


def bars(
    axes: Axes,
    values: Float[np.ndarray, "bars"],
    names: Sequence[str],
    colours: Sequence[str | tuple[float, float, float]],
) -> None:
    """Probabilities as bars with their names and figures, the first on top."""
    rows = range(len(names))
    axes.barh(rows, values, color=list(colours), edgecolor="0.3")
    for row, value in zip(rows, values.tolist(), strict=True):
        axes.text(value + 0.02, row, f"{value:.3f}", va="center", fontsize=9)
    axes.set_yticks(rows, names, fontsize=9)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.2), xticks=[0, 0.5, 1])
    axes.spines[["top", "right"]].set_visible(False)
