"""Why one pixel became what it is: what it can see, what it looks at, and what spoke for it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from perpixel.delivery.explain import sheet
from perpixel.delivery.explain.influence import (
    Box,
    Field,
    Influence,
    in_squares,
    influence,
    share_around,
    theoretical_field,
)
from perpixel.delivery.explain.scored import scored
from perpixel.errors import ConfigError
from perpixel.inference.image import ImageLike
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace

PANEL = 4.4  # inches
BARS = 6
MOST = 0.9  # of the gradient
SQUARES = 24  # along the image's longer side
GRADIENT = "PuRd"
FOR_AND_AGAINST = "RdBu"  # red against, blue for: told apart with any kind of colour vision


def pixel(model: Model, image: ImageLike, place: tuple[int, int]) -> Figure:
    """Four panels about one pixel of a prediction.

    Its theoretical receptive field as a box (Long et al. 2015, section 3); the effective one, the
    gradient of the winning class's score by the image (Luo et al. 2016), with the square around the
    pixel that holds 90 % of it; the evidence for the winner and against it, in favour of the
    runner-up, as integrated gradients in squares (Sundararajan et al. 2017); and the most probable
    classes.

    Args:
        model: what predicts.
        image: a path, a Pillow image or an array, as `Model.predict` takes it.
        place: (x, y) of the pixel, from the upper left corner, which is (0, 0).

    Raises:
        ConfigError: the pixel is not in the image, or the network's arithmetic cannot be followed.
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes.
    """
    found = scored(model, image)
    x, y = place
    height, width = found.size
    check_place(place, found.size, found.name)
    with torch.inference_mode():
        logits = found.score_map.window(y, x, 1, 1).logits()[0, :, 0, 0].to(torch.float32)
        probabilities = logits.softmax(dim=0).cpu().numpy()
    order = np.argsort(-probabilities, kind="stable").tolist()
    rivals = (order[0], order[1] if len(order) > 1 else None)
    field = theoretical_field(model, found.score_map, x, y)
    acts = influence(model, found.image, found.name, field, place, rivals)

    labels = model.labels
    aspect = min(max(height / width, 0.4), 2.5)
    figure = sheet.blank(
        2 * PANEL + 2.2,
        2 * PANEL * aspect + 2,
        f"pixel {x},{y}: {sheet.short(labels.names[order[0]])}",
    )
    panels = figure.subplots(2, 2)
    picture = sheet.shrunk(found.image)
    (sees, looks), (bars, evidence) = panels
    for axes in (sees, looks, evidence):
        sheet.lay(axes, picture if axes is sees else sheet.pale(picture), found.size)
    _draw_field(sees, field, found.size)
    _draw_gradient(figure, looks, acts, field, place)
    _draw_bars(bars, probabilities, order, labels)
    _draw_evidence(figure, evidence, acts, labels, rivals)
    for axes in (sees, looks, evidence):
        _mark(axes, place)
    return figure


def check_place(place: tuple[int, int], size: tuple[int, int], name: str) -> None:
    """Complain about a pixel (x, y) that is not in the image of that size (H, W) and name.

    Raises:
        ConfigError: it is not.
    """
    (x, y), (height, width) = place, size
    if not (0 <= x < width and 0 <= y < height):
        raise ConfigError(
            "pixel",
            found=f"{x},{y} in {name} of {width}×{height}",
            expected=f"0,0 to {width - 1},{height - 1}",
            mend="Give a pixel of the image as X,Y",
        )


def _draw_field(axes: Axes, field: Field, size: tuple[int, int]) -> None:
    box = field.box
    sides = f"{box.right - box.left} × {box.bottom - box.top} pixels"
    note = f"box: {sides}"
    if box != box.clipped(size):
        note += ", part of it outside the image"
    if field.whole_image_layer is not None:
        note += f"\nand beyond it all, through {field.whole_image_layer}"
    _outline(axes, box, sheet.ORANGE)
    # All of the box: how much wider than the image it is says what the network could use.
    axes.set(
        xlim=(min(box.left, 0) - 2, max(box.right, size[1]) + 2),
        ylim=(max(box.bottom, size[0]) + 2, min(box.top, 0) - 2),
    )
    sheet.heading(axes, "what it can see: the theoretical receptive field", note)


def _draw_gradient(
    figure: Figure, axes: Axes, acts: Influence, field: Field, place: tuple[int, int]
) -> None:
    size = (height, width) = acts.gradient.shape
    # The sum over each dot of the picture: sampled, thin traces would be lost.
    side = max(1, round(max(size) / 400))
    values = in_squares(acts.gradient, side)
    values = values / max(float(values.max()), 1e-30)
    extent = (0.0, float(values.shape[1] * side), float(values.shape[0] * side), 0.0)
    # Most of it is a few pixels; a root lets the rest be seen as well.
    drawn = sheet.heat(axes, values, extent, GRADIENT, PowerNorm(0.4, 0, 1))
    scale = sheet.scale(figure, drawn, axes, "gradient, share of the largest")
    scale.set_ticks([0, 0.01, 0.1, 0.3, 1])
    most = share_around(acts.gradient, place, MOST)
    reach = most // 2
    square = Box(place[1] - reach, place[1] + reach + 1, place[0] - reach, place[0] + reach + 1)
    _outline(axes, field.box.clipped(size), sheet.ORANGE)
    _outline(axes, square.clipped((height, width)), sheet.BLUE, dashed=True)
    sheet.heading(
        axes,
        "what it looks at: the effective receptive field",
        f"dashed: {100 * MOST:.0f} % of the gradient lies within {most} × {most} pixels",
    )


def _draw_evidence(
    figure: Figure,
    axes: Axes,
    acts: Influence,
    labels: LabelSpace,
    rivals: tuple[int, int | None],
) -> None:
    side = max(1, round(max(acts.evidence.shape) / SQUARES))
    values = in_squares(acts.evidence, side)
    most = max(float(np.abs(values).max()), 1e-30)
    extent = (0.0, float(values.shape[1] * side), float(values.shape[0] * side), 0.0)
    drawn = sheet.heat(axes, values, extent, FOR_AND_AGAINST, Normalize(-most, most))
    winner = sheet.short(labels.names[rivals[0]])
    against = "against" if rivals[1] is None else f"for {sheet.short(labels.names[rivals[1]])}"
    scale = sheet.scale(figure, drawn, axes, "")
    scale.set_ticks([-most, 0, most], labels=[f"−{most:.2g}", "0", f"+{most:.2g}"])
    # Signs as well as colours, where it matters.
    for row, column in np.argwhere(np.abs(values) > 0.25 * most):
        sign = "+" if values[row, column] > 0 else "−"
        middle = ((column + 0.5) * side, (row + 0.5) * side)
        axes.text(*middle, sign, fontsize=7, ha="center", va="center", clip_on=True)
    speaks, objects = values[values > 0].sum(), -values[values < 0].sum()
    rival = "" if rivals[1] is None else f" over {sheet.short(labels.names[rivals[1]])}"
    sheet.heading(
        axes,
        f"evidence: blue + for {winner}, red − {against}",
        f"+{speaks:.1f} − {objects:.1f}, in squares of {side} pixels; the score's lead{rival} is "
        f"{_signed(acts.lead)},\nin an image of the mean colour {_signed(acts.grey_lead)}",
    )


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _draw_bars(
    axes: Axes, probabilities: Float32[np.ndarray, "classes"], order: list[int], labels: LabelSpace
) -> None:
    shown = order[:BARS]
    names = [sheet.short(labels.names[index]) for index in shown]
    colours = [sheet.rgb(labels.colours[index]) for index in shown]
    sheet.bars(axes, probabilities[shown], names, colours)
    sheet.heading(axes, "the most probable classes here", "probability")


def _outline(axes: Axes, box: Box, colour: str, *, dashed: bool = False) -> None:
    corner = (float(box.left), float(box.top))
    sides = (float(box.right - box.left), float(box.bottom - box.top))
    sheet.outline(axes, corner, sides, colour, dashed=dashed)


def _mark(axes: Axes, place: tuple[int, int]) -> None:
    middle = (place[0] + 0.5, place[1] + 0.5)
    axes.plot(*middle, marker="o", markersize=11, fillstyle="none", color="black", mew=3.5)
    axes.plot(*middle, marker="o", markersize=11, fillstyle="none", color="white", mew=1.5)
