"""Where the model is sure and where it is not."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from matplotlib.figure import Figure

from perpixel import kernels
from perpixel.delivery.explain import sheet
from perpixel.delivery.explain.scored import scored
from perpixel.inference.image import ImageLike
from perpixel.inference.pictures.legend import share_text
from perpixel.inference.predictor import Model
from perpixel.score_map import ScoreMap

UNSURE = 0.5  # of a winner's probability
CLOSE = 0.2  # of a margin
STREAMED_BYTES = 1 << 25
# Dark to light for readers with any kind of colour vision; dark is where to look.
COLOURS = "cividis"
PANEL = 4.6  # inches


def certainty(model: Model, image: ImageLike) -> Figure:
    """The prediction, the winner's probability, and its margin over the runner-up, at each pixel.

    Args:
        model: what predicts.
        image: a path, a Pillow image or an array, as `Model.predict` takes it.

    Raises:
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes.
    """
    found = scored(model, image)
    winner, margin = winner_and_margin(found.score_map)
    mask = found.mask()
    height, width = found.size
    aspect = min(max(height / width, 0.3), 3)
    figure = sheet.blank(3 * PANEL + 1.6, PANEL * aspect + 1.3, "where the model is unsure")
    panels = figure.subplots(1, 3)
    picture = sheet.shrunk(found.image)
    sheet.lay(panels[0], sheet.mask_picture(picture, mask, model.labels), found.size)
    sheet.write_names(panels[0], mask, model.labels)
    sheet.heading(panels[0], "prediction")
    for axes, values, title, limit in (
        (panels[1], winner, "probability of the winner", UNSURE),
        (panels[2], margin, "margin: winner − runner-up", CLOSE),
    ):
        sheet.lay(axes, picture, found.size)
        shown = sheet.resampled(values, picture.shape[:2])
        drawn = axes.imshow(shown, extent=(0, width, height, 0), cmap=COLOURS, vmin=0, vmax=1)
        sheet.frame(axes, found.size)
        below = share_text(float((values < limit).mean()))
        sheet.heading(axes, title, f"mean {values.mean():.2f} · below {limit} on {below}")
        sheet.scale(figure, drawn, axes, "dark: unsure")
    shares = model.labels.pixels_by_class(mask) / mask.size
    sheet.legend(figure, model.labels, shares.tolist())
    return figure


def winner_and_margin(
    score_map: ScoreMap,
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """The highest probability at each pixel, and by how much it is above the second, 0 … 1.

    Of a single class the runner-up has probability 0.
    """
    height, width = score_map.size
    at_once = max(1, STREAMED_BYTES // (4 * score_map.classes * width))
    first, second = [], []
    with torch.inference_mode():
        for top in range(0, height, at_once):
            rows = range(top, min(top + at_once, height))
            values = kernels.probabilities(score_map, rows)[0]
            highest = values.topk(min(2, values.shape[0]), dim=0).values
            first.append(highest[0])
            second.append(highest[1] if len(highest) > 1 else torch.zeros_like(highest[0]))
    winner, runner_up = torch.cat(first), torch.cat(second)
    return winner.cpu().numpy(), (winner - runner_up).cpu().numpy()
