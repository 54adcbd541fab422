"""Seen: what a tensor's cells see of the image, and the arithmetic of its dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from perpixel.networks.span import Span

# One factor of a dimension: its size, and the image's axis along it: "y", "x" or none ("").
# A dimension (B · H · W), as a linear layer on pixels makes it, has three.
Factor = tuple[int, str]
Dimension = tuple[Factor, ...]


@dataclass(frozen=True)
class Window:
    """The windows of a max-pooling, which its indices carry to an unpooling; (rows, columns).

    Args:
        kernel: cells in a window.
        stride: cells from one window to the next.
        padding: cells before the first.
        plane: the height and width of what was pooled.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    plane: tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """What a tensor's cells see of the image.

    Args:
        dimensions: the tensor's dimensions, and where the image's axes lie in them.
        spans: the span along each of the image's axes that the tensor has.
        whole: the first layer behind which a cell depends on the whole image; "" while that layer
            has no name, None where there is none. The spans leave that layer's part out.
        window: set for the indices of a max-pooling.
    """

    dimensions: tuple[Dimension, ...]
    spans: dict[str, Span]
    whole: str | None = None
    window: Window | None = None

    @classmethod
    def image(cls, shape: Sequence[int]) -> Seen:
        """An image (B, bands, H, W) itself."""
        batch, bands, height, width = shape
        dimensions = (((batch, ""),), ((bands, ""),), ((height, "y"),), ((width, "x"),))
        return cls(dimensions, {"y": Span.of_image(), "x": Span.of_image()})

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(size for size, _ in dimension) for dimension in self.dimensions)

    def axes(self, dimension: int) -> list[str]:
        """The image's axes in a dimension."""
        return [axis for _, axis in self.dimensions[dimension] if axis]

    def reordered(self, order: Sequence[int]) -> Seen:
        """The dimensions in another order."""
        return replace(self, dimensions=tuple(self.dimensions[place] for place in order))

    def reshaped(self, shape: Sequence[int]) -> Seen:
        """The same values in their order, in other dimensions.

        Raises:
            ValueError: an axis of the image would be cut in pieces.
        """
        left = [factor for dimension in self.dimensions for factor in dimension if factor[0] != 1]
        dimensions = []
        for size in shape:
            taken: list[Factor] = []
            while size > 1:
                whole, axis = left.pop(0)
                if size % whole == 0:
                    taken.append((whole, axis))
                    size //= whole
                elif axis or whole % size:
                    raise ValueError(f"{self.shape} becomes {tuple(shape)}: an axis is cut")
                else:
                    taken.append((size, ""))
                    left.insert(0, (whole // size, ""))
                    size = 1
            dimensions.append(tuple(taken) or ((1, ""),))
        return replace(self, dimensions=tuple(dimensions))

    def moved(self, shape: Sequence[int], spans: dict[str, Span]) -> Seen:
        """Behind a layer that keeps the order of the dimensions: other sizes, other spans."""
        dimensions = []
        for size, dimension in zip(shape, self.dimensions, strict=True):
            axes = [axis for _, axis in dimension if axis]
            same = math.prod(whole for whole, _ in dimension) == size
            dimensions.append(dimension if same else ((size, axes[0] if axes else ""),))
        return replace(self, dimensions=tuple(dimensions), spans={**self.spans, **spans})

    def collapsed(self, removed: Sequence[int], keep: bool) -> Seen:
        """Behind a sum over dimensions: where these hold an axis of the image, each value now
        depends on the whole image."""
        removed = [place % len(self.dimensions) for place in removed]
        gone = {axis for place in removed for axis in self.axes(place)}
        dimensions = []
        for place, dimension in enumerate(self.dimensions):
            if place not in removed:
                dimensions.append(dimension)
            elif keep:
                dimensions.append(((1, ""),))
        spans = {axis: span for axis, span in self.spans.items() if axis not in gone}
        seen = replace(self, dimensions=tuple(dimensions), spans=spans)
        return seen.everywhere() if gone else seen

    def everywhere(self) -> Seen:
        """The same, behind a layer that looks at the whole image."""
        return self if self.whole is not None else replace(self, whole="")


def met(shape: Sequence[int], parts: Sequence[Seen]) -> Seen:
    """Several tensors, cell by cell: of a sum, a product or a concatenation, broadcast to `shape`.

    Raises:
        ValueError: they hold an axis of the image in different places, or at different strides.
    """
    dimensions: list[Dimension] = [((size, ""),) for size in shape]
    placed: dict[str, int] = {}
    spans: dict[str, Span] = {}
    for part in parts:
        shift = len(shape) - len(part.dimensions)
        for place, dimension in enumerate(part.dimensions, start=shift):
            axes = [axis for _, axis in dimension if axis]
            if axes and part.shape[place - shift] == shape[place]:
                dimensions[place] = dimension
            elif axes:
                raise ValueError(f"{part.shape} is spread over {tuple(shape)}")
            for axis in axes:
                if placed.setdefault(axis, place) != place:
                    raise ValueError(f"rows and columns of {part.shape} meet others")
        for axis, span in part.spans.items():
            spans[axis] = spans[axis].joined(span) if axis in spans else span
    whole = next((part.whole for part in parts if part.whole is not None), None)
    return Seen(tuple(dimensions), spans, whole)
