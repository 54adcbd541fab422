"""Call: one of torch's operations in a network, as the rules that follow it see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from perpixel.networks.seen import Seen
from perpixel.networks.span import Span

Result = Seen | list[Seen]
AXES = ("y", "x")


@dataclass(frozen=True)
class Call:
    """One operation of a network, with its arguments by name.

    Args:
        name: the operation's, without its overload.
        arguments: the values; tensors among them.
        seen: what each tensor sees, for those that come from the image.
        zeros: for weights that were padded: rows and columns of zeros before and after.
        constants: the values of tensors that do not depend on the image.
        shapes: of the results.
    """

    name: str
    arguments: dict[str, Any]
    seen: Callable[[Any], Seen | None]
    zeros: Callable[[Any], tuple[tuple[int, int], tuple[int, int]] | None]
    constants: Callable[[Any], torch.Tensor | None]
    shapes: list[tuple[int, ...]]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def source(self, name: str = "self") -> Seen:
        """What a tensor that comes from the image sees."""
        seen = self.seen(self[name])
        if seen is None:
            raise self.unknown()
        return seen

    def pair(self, name: str, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
        """An argument for rows and columns; empty means the default."""
        value = self[name]
        if isinstance(value, int):
            return value, value
        values = [int(number) for number in value]
        return (values[0], values[-1]) if values else default

    def taps(self) -> tuple[list[int], list[int]]:
        """Where the elements of a convolution's kernel lie, without those that are zero padding."""
        weight, dilation = self["weight"], self.pair("dilation")
        zeros = self.zeros(weight) or ((0, 0), (0, 0))
        rows, columns = (
            [step * place for place in range(before, size - after)]
            for size, step, (before, after) in zip(weight.shape[2:], dilation, zeros, strict=True)
        )
        return rows, columns

    def unknown(self) -> ValueError:
        """What cannot be said."""
        return ValueError(f"what {self.name} sees of the image is not known")


def spatial(
    call: Call, source: Seen, change: Callable[[int, Span], Span], first: int | None = None
) -> Seen:
    """The result of a layer whose two last dimensions are rows and columns, if they still are."""
    first = len(source.dimensions) - 2 if first is None else first
    spans = {}
    for index in range(2):
        axes = source.axes(first + index)
        if axes == [AXES[index]]:
            spans[AXES[index]] = change(index, source.spans[AXES[index]])
        elif axes:
            raise call.unknown()
    return source.moved(call.shapes[0], spans)
