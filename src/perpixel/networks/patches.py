"""Patch classification, what fully convolutional networks replaced: a classifier runs on every
window of an image by itself (Long, Shelhamer and Darrell 2015, section 3.1 and 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import nn

from perpixel.networks.convolutionalize import DenseClassifier, own_size


@torch.no_grad()
def patchwise(
    classifier: nn.Module,
    images: Float[torch.Tensor, "batch bands H W"],
    stride: int,
    *,
    size: tuple[int, int] | None = None,
) -> Float[torch.Tensor, "batch classes rows columns"]:
    """A classifier's scores for every window that lies whole inside the image.

    Args:
        classifier: from (B, bands, h, w) to (B, classes), in evaluation mode.
        images: (B, bands, H, W), no smaller than a window.
        stride: pixels from one window to the next.
        size: (h, w) of a window; without it what timm states, or 224×224.

    Raises:
        ValueError: the image is smaller than a window.
    """
    height, width = size or own_size(classifier)
    if images.shape[2] < height or images.shape[3] < width:
        raise ValueError(f"windows of {height}×{width} in {tuple(images.shape)}")
    rows = images.unfold(2, height, stride).unfold(3, width, stride)
    batch, bands, down, across = rows.shape[:4]
    scored = []
    for row in range(down):  # a row of windows at a time: all at once may not fit into memory
        windows = rows[:, :, row].transpose(1, 2).reshape(-1, bands, height, width)
        scored.append(classifier(windows).view(batch, across, -1))
    return torch.stack(scored, 1).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Agreement:
    """How far dense scores are from those of the windows, cell by cell.

    Args:
        cells: how many were compared.
        largest: the largest difference of two scores.
        relative: the root mean square of the differences over that of the windows' scores, each
            counted from the mean of its cell's classes, which decides nothing.
        same_class: the share of cells whose highest score is the same class's.
    """

    cells: int
    largest: float
    relative: float
    same_class: float


@torch.no_grad()
def agreement(
    classifier: nn.Module, dense: DenseClassifier, images: Float[torch.Tensor, "batch bands H W"]
) -> Agreement:
    """Measure how a convolutionalized classifier differs from the classifier on each window.

    With padding the two differ by what a window's cells see beyond it, where the classifier itself
    sees zeros.

    Args:
        classifier: the classifier, in evaluation mode.
        dense: what `convolutionalize` made of it.
        images: at least as large as a window.
    """
    windows = patchwise(classifier, images, dense.stride, size=dense.window)
    scores = dense(images).scores[:, :, : windows.shape[2], : windows.shape[3]]
    difference = scores - windows
    spread, apart = (values - values.mean(1, keepdim=True) for values in (windows, difference))
    return Agreement(
        windows[:, 0].numel(),
        difference.abs().max().item(),
        (apart.square().mean() / spread.square().mean()).sqrt().item(),
        (scores.argmax(1) == windows.argmax(1)).float().mean().item(),
    )
