"""ScoreMap: coarse class scores and the arithmetic that takes them to every pixel.

This is the reference arithmetic; the fused operations in `perpixel.kernels` are tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64

Pair = tuple[float, float]


@dataclass(frozen=True)
class ScoreMap:
    """Class scores on a coarse grid, and where on that grid each pixel of the image lies.

    Pixel row y looks the grid up at (y + 0.5) / stride_y − 0.5 + offset_y, in cells, linearly
    between the two nearest cells, and clamps outside the grid; columns likewise.

    Args:
        scores: (B, C, h, w), any floating type.
        stride: pixels for each cell, (rows, columns); need not be whole.
        offset: added to the place on the grid, in cells, (rows, columns).
        size: (H, W) of the image, in pixels.
    """

    scores: Float[torch.Tensor, "batch classes h w"]
    stride: Pair
    offset: Pair
    size: tuple[int, int]

    @classmethod
    def of(
        cls,
        scores: Float[torch.Tensor, "batch classes h w"],
        size: tuple[int, int],
        stride: float | Pair | None = None,
        offset: float | Pair = 0.0,
    ) -> ScoreMap:
        """Wrap any network's coarse scores.

        Without a stride it is H/h and W/w, which is what `F.interpolate(scores, size,
        mode="bilinear", align_corners=False)` computes.

        Raises:
            ValueError: the scores are not (B, C, h, w) with h, w ≥ 1, or size or stride is not
                positive.
        """
        height, width = int(size[0]), int(size[1])
        if scores.ndim != 4 or min(scores.shape[1:]) < 1 or min(height, width) < 1:
            raise ValueError(
                f"scores {tuple(scores.shape)} for an image of {height}×{width}: both need four "
                "and two dimensions of at least one"
            )
        if stride is None:
            stride = (height / scores.shape[2], width / scores.shape[3])
        strides = stride if isinstance(stride, tuple) else (stride, stride)
        offsets = offset if isinstance(offset, tuple) else (offset, offset)
        if min(strides) <= 0:
            raise ValueError(f"stride {strides} is not above 0")
        return cls(
            scores,
            (float(strides[0]), float(strides[1])),
            (float(offsets[0]), float(offsets[1])),
            (height, width),
        )

    @property
    def classes(self) -> int:
        """How many classes the scores speak of."""
        return self.scores.shape[1]

    def window(self, top: int, left: int, height: int, width: int) -> ScoreMap:
        """The part of the image with these pixels, on the same scores."""
        (stride_y, stride_x), (offset_y, offset_x) = self.stride, self.offset
        offset = (offset_y + top / stride_y, offset_x + left / stride_x)
        return ScoreMap(self.scores, self.stride, offset, (height, width))

    def logits(self) -> Float[torch.Tensor, "batch classes H W"]:
        """The scores at every pixel, (B, C, H, W), in the scores' type. Differentiable.

        The only thing in perpixel that builds a tensor of that size.
        """
        scores = self.scores
        wide = scores if scores.dtype == torch.float64 else scores.to(torch.float32)
        (height, width), device = self.size, scores.device
        first, second, weight = lookup(
            height, scores.shape[2], self.stride[0], self.offset[0], device
        )
        rows = torch.lerp(
            wide.index_select(2, first),
            wide.index_select(2, second),
            weight.to(wide.dtype).view(1, 1, -1, 1),
        )
        first, second, weight = lookup(
            width, scores.shape[3], self.stride[1], self.offset[1], device
        )
        pixels = torch.lerp(
            rows.index_select(3, first),
            rows.index_select(3, second),
            weight.to(wide.dtype).view(1, 1, 1, -1),
        )
        return pixels.to(scores.dtype)


@dataclass(frozen=True)
class Placement:
    """Where a network's coarse scores lie, before it is known how large an image is.

    Args:
        stride: pixels for each cell, along rows and columns alike; None: the cells are spread
            over the image whatever its size is, H / h and W / w pixels for each.
        offset: added to the place on the grid, in cells, along rows and columns alike.
    """

    stride: float | None
    offset: float = 0.0

    def of(
        self, scores: Float[torch.Tensor, "batch classes h w"], size: tuple[int, int]
    ) -> ScoreMap:
        """These scores as those of images of (H, W) pixels."""
        if self.stride is None:
            stride = (size[0] / scores.shape[2], size[1] / scores.shape[3])
        else:
            stride = (self.stride, self.stride)
        return ScoreMap(scores, stride, (self.offset, self.offset), size)


def lookup(
    pixels: int, cells: int, stride: float, offset: float, device: torch.device | None = None
) -> tuple[
    Int64[torch.Tensor, "pixels"], Int64[torch.Tensor, "pixels"], Float32[torch.Tensor, "pixels"]
]:
    """Along one axis: the two cells that each pixel lies between, and the second one's weight.

    The place is computed in float64, so that it is right to the last bit for any whole image;
    clamped at both ends, where the two cells are the same one or the weight is 0.
    """
    if device is not None and device.type == "mps":
        # Apple's GPUs have no float64.
        first, second, weight = lookup(pixels, cells, stride, offset)
        return first.to(device), second.to(device), weight.to(device)
    place = (torch.arange(pixels, dtype=torch.float64, device=device) + 0.5) / stride - 0.5
    place = (place + offset).clamp(0, cells - 1)
    first = place.floor().to(torch.int64)
    second = (first + 1).clamp(max=cells - 1)
    return first, second, (place - first).to(torch.float32)


# Exported and compiled graphs, and DDP, look inside a network's result only if they know its type.
torch.export.register_dataclass(ScoreMap, serialized_type_name="perpixel.ScoreMap")
