"""What each skip adds: one network's mask with ever finer skips, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Integer
from matplotlib.figure import Figure

from perpixel import kernels
from perpixel.delivery.explain import sheet
from perpixel.inference.image import ImageLike, decoded
from perpixel.inference.pictures.legend import share_text
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.networks.skip_sum import skip_layers, without

DEEPEST = 32
PANEL = 3.7  # inches
SWAPS = 3  # pairs of classes that are named under a panel
Mask = Integer[np.ndarray, "H W"]


def skips(model: Model, image: ImageLike) -> Figure:
    """The masks at stride 32, 16, 8 and 4 of the same network, and what changed between them.

    Long, Shelhamer and Darrell 2015, figure 4, for one set of weights: the skips finer than the
    stride are left out of the sum, and the rest of the network stays as it was trained. So the
    coarser masks say what this network's finer skips correct, not what a network trained without
    them would predict.

    Args:
        model: one of an FCN on any backbone (either head), or of the paper's networks on VGG16.
        image: a path, a Pillow image or an array, as `Model.predict` takes it.

    Raises:
        ConfigError: the network sums no skips.
        DataError: the image cannot be decoded.
        ModelError: it has other bands than the model takes.
    """
    masks = masks_by_stride(model, image)
    array, _ = decoded(image)
    strides = list(masks)
    size = masks[strides[0]].shape
    aspect = min(max(size[0] / size[1], 0.3), 3)
    figure = sheet.blank(
        PANEL * len(strides),
        2 * PANEL * aspect + 1.9,
        "what each skip adds: the masks of one network with more and more of its skips, and below "
        "them the new class of every pixel that a skip changed",
    )
    panels = figure.subplots(2, len(strides), squeeze=False)
    labels, picture = model.labels, sheet.shrunk(array)
    ground = sheet.pale(picture)
    sheet.lay(panels[1, 0], picture, size)
    sheet.heading(panels[1, 0], "the image")
    seen = np.zeros(labels.classes)
    for column, (stride, mask) in enumerate(masks.items()):
        axes = panels[0, column]
        sheet.lay(axes, sheet.mask_picture(picture, mask, labels), size)
        sheet.write_names(axes, mask, labels)
        sheet.heading(axes, f"stride {stride}: {_parts(strides[: column + 1])}")
        seen = np.maximum(seen, labels.pixels_by_class(mask) / mask.size)
        if column:
            before = masks[strides[column - 1]]
            axes = panels[1, column]
            sheet.lay(axes, _changes(picture, ground, before, mask, labels), size)
            share = share_text(float((before != mask).mean()))
            sheet.heading(
                axes,
                f"the skip of stride {stride} changed {share}",
                "\n".join(_swaps(before, mask, labels)),
            )
    sheet.legend(figure, labels, seen.tolist())
    return figure


def masks_by_stride(model: Model, image: ImageLike) -> dict[int, Mask]:
    """The mask without the skips finer than each stride, from stride 32 to the network's own.

    Raises:
        ConfigError: the network sums no skips.
    """
    model = model.as_trained()
    layers = skip_layers(model.network)
    array, name = decoded(image)
    masks = {}
    for stride in (DEEPEST, *layers):
        with without(layer for level, layer in layers.items() if level < stride):
            (score_map,) = model.views([array], names=[name])
        with torch.inference_mode():
            masks[stride] = kernels.argmax(score_map)[0].cpu().numpy()
    return masks


def _parts(strides: Sequence[int]) -> str:
    if len(strides) == 1:
        return "the deepest level alone"
    return " + ".join(map(str, strides))


def _changes(
    picture: sheet.Picture, ground: sheet.Picture, before: Mask, after: Mask, labels: LabelSpace
) -> sheet.Picture:
    """The new class of the pixels that changed, in its colour on a pale photograph."""
    changed = sheet.resampled(before != after, picture.shape[:2])
    coloured = labels.colourise(sheet.resampled(after, picture.shape[:2]))
    return np.where(changed[..., None], coloured, ground)


def _swaps(before: Mask, after: Mask, labels: LabelSpace) -> list[str]:
    """The commonest changes of class, with their shares of the image."""
    pairs = before.astype(np.int64) * labels.classes + after
    kinds, counts = np.unique(pairs[before != after], return_counts=True)
    lines = []
    for place in np.argsort(-counts, kind="stable")[:SWAPS]:
        old, new = divmod(int(kinds[place]), labels.classes)
        names = f"{sheet.short(labels.names[old])} → {sheet.short(labels.names[new])}"
        lines.append(f"{names} {share_text(counts[place] / before.size)}")
    return lines
