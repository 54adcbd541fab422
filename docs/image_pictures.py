"""The pictures of `fcn.md` that show an image."""

from __future__ import annotations

import numpy as np
import torch
from drawing import FIRST, INK, SECOND, box, show
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


def windows(image: np.ndarray) -> Figure:
    """A classifier's windows on an image, 32 pixels apart, and what two neighbours share."""
    side, step = 224, 32
    height, width = image.shape[:2]
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    down, across = ((length - side) // step + 1 for length in (height, width))
    if min(down, across) < 1:
        raise SystemExit(f"The image has {height}×{width} pixels; a window has {side}×{side}.")
    show(left, image, f"{down} × {across} windows of {side}×{side}, {step} pixels apart")
    rows, columns = np.mgrid[:down, :across] * step + side / 2
    left.plot(columns, rows, "o", color="white", markeredgecolor=INK, markersize=4)
    left.add_patch(box(0, 0, side, side, FIRST))
    shared = (side - step) / side
    show(right, image, f"two neighbours share {shared:.0%} of their pixels")
    right.add_patch(box(0, 0, side, side, FIRST))
    right.add_patch(box(step, 0, side, side, SECOND, dashed=True))
    right.add_patch(Rectangle((step, 0), side - step, side, facecolor="white", alpha=0.45))
    for axes in (left, right):
        axes.set_xlim(-4, width)
        axes.set_ylim(height, -4)
    left.set_xlabel("each dot is the middle of a window", color=INK)
    return figure


def field(image: np.ndarray) -> Figure:
    """What a cell of FCN-32s sees with a 7×7 and with a 1×1 fc6, and the cell itself."""
    height, width = image.shape[:2]
    figure = Figure(figsize=(6.4, 6.4 * max(0.5, min(1.5, height / width))), layout="constrained")
    axes = figure.subplots()
    show(axes, image, f"an image of {height}×{width} pixels")
    for side, colour, text, dashed in (
        (404, FIRST, "404: a cell after a 7×7 fc6", False),
        (212, SECOND, "212: after a 1×1 fc6", True),
        (32, INK, "32: the cell", False),
    ):
        left, top = (width - side) / 2, (height - side) / 2
        axes.add_patch(box(left, top, side, side, colour, dashed=dashed))
        axes.text(
            width / 2,
            top + (side + 3 if side == 32 else 3),
            text,
            ha="center",
            va="top",
            color=INK,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": colour, "pad": 2},
        )
    axes.set_xlim(min(0, (width - 420) / 2), max(width, (width + 420) / 2))
    axes.set_ylim(max(height, (height + 420) / 2), min(0, (height - 420) / 2))
    return figure


def context(image: np.ndarray) -> Figure:
    """The gradient of the middle pixel's score by the image, without and with global context."""
    height, width = image.shape[:2]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    show(panels[0], image, "the image, and the pixel")
    for axes in panels:
        axes.plot(width / 2, height / 2, "+", color=SECOND, markersize=14, markeredgewidth=2.5)
    for axes, switch in zip(panels[1:], (False, True), strict=True):
        gradient = influence_of(image, global_context=switch)
        relative = np.ma.masked_equal(gradient / gradient.max(), 0)
        drawn = axes.imshow(relative, cmap="viridis", norm=LogNorm(1e-6, 1))
        axes.set_facecolor("white")
        reached = (gradient > 0).mean()
        title = "with global context" if switch else "without"
        axes.set_title(f"{title}: {reached:.0%} of the pixels")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(drawn, ax=list(panels), label="gradient / its highest", shrink=0.8)
    return figure


def influence_of(image: np.ndarray, *, global_context: bool) -> np.ndarray:
    """(H, W): how strongly each pixel acts on the scores of the one in the middle, in an FCN-32s
    on VGG11 with random weights, the same with and without the switch."""
    from perpixel.networks import FCNConfig, build

    torch.manual_seed(0)
    config = FCNConfig(
        name="fcn32s",
        backbone="vgg11",
        classes=3,
        head="scores",
        global_context=global_context,
    )
    network = build(config).eval().requires_grad_(False)
    torch.manual_seed(1)
    for part in (network.lateral["32"], *([network.context] if network.context else [])):
        torch.nn.init.normal_(part.weight)
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    given.requires_grad_()
    height, width = image.shape[:2]
    network(given).window(height // 2, width // 2, 1, 1).logits().sum().backward()
    assert given.grad is not None
    return given.grad[0].abs().sum(0).numpy()
