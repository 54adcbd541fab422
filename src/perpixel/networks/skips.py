"""Skips: coarse features go up by exactly 2 and meet finer ones, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import nn

Join = Literal["concatenate", "sum"]


class SkipDecoder(nn.Module):
    """One loop over the levels, from coarse to fine: up by 2, crop, join, refine.

    Going up is a learned 2×2 transposed convolution of stride 2, whose taps do not overlap: it
    neither fades at the border nor depends on the image's size.

    Args:
        deepest: channels of the coarsest features.
        skips: channels of the finer features, from coarse to fine.
        widths: channels after each level, in the same order.
        join: "concatenate" the skip's channels behind the others (Ronneberger et al. 2015), or
            "sum" them, where a 1×1 convolution makes them as many (Long et al. 2015).
        refine: what convolves the joined features, made from its channels in and out.
    """

    def __init__(
        self,
        deepest: int,
        skips: Sequence[int],
        widths: Sequence[int],
        join: Join,
        refine: type[nn.Module],
    ) -> None:
        super().__init__()
        self.join = join
        self.up, self.lateral, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for coarse, skip, width in zip([deepest, *widths[:-1]], skips, widths, strict=True):
            self.up.append(nn.ConvTranspose2d(coarse, width, 2, stride=2))
            fits = join == "concatenate" or skip == width
            self.lateral.append(nn.Identity() if fits else nn.Conv2d(skip, width, 1, bias=False))
            self.refine.append(refine(width + skip if join == "concatenate" else width, width))

    def forward(
        self,
        deepest: Float[torch.Tensor, "batch channels h w"],
        skips: Sequence[Float[torch.Tensor, "batch _ _ _"]],
    ) -> Float[torch.Tensor, "batch width H W"]:
        """The finest level's features; skips come from coarse to fine."""
        features = deepest
        for up, lateral, refine, skip in zip(
            self.up, self.lateral, self.refine, skips, strict=True
        ):
            features = up(features)
            skip = lateral(_centre(skip, features.shape[2], features.shape[3]))
            if self.join == "concatenate":
                features = refine(torch.cat((skip, features), 1))
            else:
                features = refine(skip + features)
        return features


def _centre(features: torch.Tensor, height: int, width: int) -> torch.Tensor:
    top, left = (features.shape[2] - height) // 2, (features.shape[3] - width) // 2
    return features[:, :, top : top + height, left : left + width]
