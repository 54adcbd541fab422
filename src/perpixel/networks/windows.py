"""What operations that move a window over rows and columns do to the pixels that cells see:
convolutions, poolings, unpoolings and resampling. Each rule takes a call and answers with what the
result's cells see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from perpixel.networks.call import AXES, Call, Result, spatial
from perpixel.networks.seen import Seen, Window, met
from perpixel.networks.span import Span


def convolution(call: Call) -> Result:
    source = call.source("input")
    if len(source.dimensions) != 4:
        if any(source.axes(place) for place in range(len(source.dimensions))):
            raise call.unknown()
        return source.moved(call.shapes[0], {})
    taps, stride, padding = call.taps(), call.pair("stride"), call.pair("padding")

    def change(index: int, span: Span) -> Span:
        behind = span.transposed if call["transposed"] else span.strided
        return behind(taps[index], stride[index], padding[index])

    return spatial(call, source, change)


def _windows(call: Call) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    kernel = call.pair("kernel_size")
    return kernel, call.pair("stride", default=kernel), call.pair("padding")


def pooling(call: Call) -> Result:
    kernel, stride, padding = _windows(call)
    dilation = call.pair("dilation") if "dilation" in call.arguments else (1, 1)

    def change(index: int, span: Span) -> Span:
        taps = [dilation[index] * place for place in range(kernel[index])]
        return span.strided(taps, stride[index], padding[index])

    pooled = spatial(call, call.source(), change)
    rows, columns = call.source().shape[-2:]
    window = Window(kernel, stride, padding, (rows, columns))
    return [pooled, replace(pooled, window=window)] if len(call.shapes) > 1 else pooled


def _unpooled(call: Call, shape: Sequence[int], values: Seen, indices: Seen) -> Seen:
    """Wherever in a window the value goes, the cell sees all that decided it."""
    window = indices.window
    both = met(indices.shape, [values, indices])
    if window is None or "y" not in both.spans or "x" not in both.spans:
        raise call.unknown()
    spans = {
        axis: both.spans[axis].transposed(
            range(window.kernel[index]), window.stride[index], window.padding[index]
        )
        for index, axis in enumerate(AXES)
    }
    return replace(both.moved(shape, spans), window=None)


def max_unpool2d(call: Call) -> Result:
    return _unpooled(call, call.shapes[0], call.source(), call.source("indices"))


def scatter(call: Call) -> Result:
    """A max-unpooling of flattened planes."""
    values, indices = call.source("src"), call.source("index")
    window = indices.window
    batch, channels, places = call.shapes[0]
    if window is None or window.plane[0] * window.plane[1] != places:
        raise call.unknown()
    rows, columns = (size for size, _ in indices.dimensions[2])
    shape = (batch, channels, rows, columns)
    planes = _unpooled(
        call, (batch, channels, *window.plane), values.reshaped(shape), indices.reshaped(shape)
    )
    return planes.reshaped(call.shapes[0])


def interpolation(around: tuple[int, ...], centred: bool) -> Callable[[Call], Result]:
    def rule(call: Call) -> Result:
        source = call.source()
        corners = call.arguments.get("align_corners", False)

        def change(index: int, span: Span) -> Span:
            before, after = source.shape[index - 2], call.shapes[0][index - 2]
            scale = call.arguments.get(("scales_h", "scales_w")[index])
            if corners:
                step = Fraction(before - 1, max(after - 1, 1))
            elif scale:
                step = 1 / Fraction(scale).limit_denominator(1 << 16)
            else:
                step = Fraction(before, after)
            start = (step - 1) / 2 if centred and not corners else Fraction(0)
            return span.sampled(step, start, around)

        return spatial(call, source, change)

    return rule


def nearest_exact(call: Call) -> Result:
    def change(index: int, span: Span) -> Span:
        step = Fraction(call.source().shape[index - 2], call.shapes[0][index - 2])
        return span.sampled(step, step / 2)

    return spatial(call, call.source(), change)


def pixel_shuffle(call: Call) -> Result:
    step = Fraction(1, call["upscale_factor"])
    return spatial(call, call.source(), lambda _, span: span.sampled(step, Fraction(0)))


def pixel_unshuffle(call: Call) -> Result:
    factor = call["downscale_factor"]
    return spatial(call, call.source(), lambda _, span: span.strided(range(factor), factor, 0))
