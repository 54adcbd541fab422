"""What each of torch's operations does to the pixels that a tensor's cells see.

A rule takes a call and answers with what the result's cells see. Operations that compute every
cell from the same cell of their inputs need none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from perpixel.networks.call import Call, Result
from perpixel.networks.seen import Seen, met
from perpixel.networks.span import Span
from perpixel.networks.windows import (
    convolution,
    interpolation,
    max_unpool2d,
    nearest_exact,
    pixel_shuffle,
    pixel_unshuffle,
    pooling,
    scatter,
)


def _shifted(seen: Seen, dimension: int, shape: Sequence[int], start: int, step: int = 1) -> Seen:
    axes = seen.axes(dimension)
    spans = {axis: seen.spans[axis].sampled(Fraction(step), Fraction(start)) for axis in axes}
    return seen.moved(shape, spans)


def padding(call: Call) -> Result:
    seen, pads = call.source(), call["pad"] if "pad" in call.arguments else call["padding"]
    for index in range(len(pads) // 2):
        dimension = len(seen.dimensions) - 1 - index
        seen = _shifted(seen, dimension, seen.shape, -pads[2 * index])
    return seen.moved(call.shapes[0], {})


def slicing(call: Call) -> Result:
    seen = call.source()
    dimension = call["dim"] % len(seen.dimensions)
    start = call["start"] or 0
    start += seen.shape[dimension] if start < 0 else 0
    return _shifted(seen, dimension, call.shapes[0], start, call["step"])


def index_select(call: Call) -> Result:
    """Rows or columns by their numbers: what happens in the middle; mirrors are border."""
    seen, places = call.source(), call.constants(call["index"])
    dimension = call["dim"] % len(seen.dimensions)
    if places is None or len(places) < 2:
        raise call.unknown()
    middle = len(places) // 2 - 1
    first, second = places[middle].item(), places[middle + 1].item()
    step = int(second - first)
    if step < 1:
        raise call.unknown()
    return _shifted(seen, dimension, call.shapes[0], int(first) - middle * step, step)


def split(call: Call) -> Result:
    seen = call.source()
    if seen.axes(call["dim"]):
        raise call.unknown()
    return [seen.moved(shape, {}) for shape in call.shapes]


def unbind(call: Call) -> Result:
    seen = call.source()
    if seen.axes(call["dim"]):
        raise call.unknown()
    place = call["dim"] % len(seen.dimensions)
    kept = [index for index in range(len(seen.dimensions)) if index != place]
    return [seen.reordered(kept)] * len(call.shapes)


def stack(call: Call) -> Result:
    parts = [seen for seen in map(call.seen, call["tensors"]) if seen]
    shape, place = list(call.shapes[0]), call["dim"] % len(call.shapes[0])
    joined = met([*shape[:place], *shape[place + 1 :]], parts)
    dimensions = list(joined.dimensions)
    dimensions.insert(place, ((shape[place], ""),))
    return replace(joined, dimensions=tuple(dimensions))


def reshape(call: Call) -> Result:
    """Where rows or columns are cut into windows, as for attention, they are followed no further:
    that counts as looking at the whole image."""
    source = call.source()
    try:
        return source.reshaped(call.shapes[0])
    except ValueError:
        plain = tuple(((size, ""),) for size in call.shapes[0])
        return Seen(plain, {}, source.whole).everywhere()


def same(call: Call) -> Result:
    return met(call.shapes[0], [call.source()])


def permute(call: Call) -> Result:
    source = call.source()
    return source.reordered([place % len(source.dimensions) for place in call["dims"]])


def transpose(call: Call) -> Result:
    source = call.source()
    order = list(range(len(source.dimensions)))
    first, second = (call["dim0"], call["dim1"]) if "dim0" in call.arguments else (0, -1)
    order[first], order[second] = order[second], order[first]
    return source.reordered(order)


def join(call: Call) -> Result:
    return met(call.shapes[0], [seen for seen in map(call.seen, call["tensors"]) if seen])


def batch_norm(call: Call) -> Result:
    """Statistics of the image itself (instance norm) look at all of it."""
    source = call.source("input")
    return [source.everywhere() if call.arguments.get("training") else source]


def group_norm(call: Call) -> Result:
    return [call.source("input").everywhere()]


def layer_norm(call: Call) -> Result:
    source, normalised = call.source("input"), len(call["normalized_shape"])
    places = range(len(source.dimensions) - normalised, len(source.dimensions))
    return [source.everywhere() if any(map(source.axes, places)) else source]


def reduction(call: Call) -> Result:
    source = call.source()
    removed = call.arguments.get("dim")
    if removed is None or removed == []:
        removed = range(len(source.dimensions))
    removed = [removed] if isinstance(removed, int) else list(removed)
    seen = source.collapsed(removed, call.arguments.get("keepdim", False))
    return [seen] * len(call.shapes)


def adaptive_pooling(call: Call) -> Result:
    source = call.source()
    if source.shape == call.shapes[0]:
        return source
    gone = source.collapsed((-2, -1), keep=True)
    return [gone.moved(shape, {}) for shape in call.shapes]


def softmax(call: Call) -> Result:
    source = call.source()
    return source.everywhere() if source.axes(call["dim"]) else source


def product(call: Call) -> Result:
    """A matrix product: rows keep what they see; a sum over the image looks at all of it."""
    left, right = (
        call.seen(call.arguments.get(name, call.arguments.get("self"))) for name in ("mat1", "mat2")
    )
    parts = [part for part in (left, right) if part]
    plain = [((size, ""),) for size in call.shapes[0]]
    rows = left.dimensions[:-1] if left else tuple(plain[:-1])
    columns = right.dimensions[-1] if right else plain[-1]
    spans: dict[str, Span] = {}
    for part in parts:
        for axis, span in part.spans.items():
            spans[axis] = spans[axis].joined(span) if axis in spans else span
    whole = next((part.whole for part in parts if part.whole is not None), None)
    seen = Seen((*rows, columns), spans, whole)
    summed = (left and left.axes(-1)) or (right and right.axes(-2))
    every_pair = left and right and right.axes(-1)
    return seen.everywhere() if summed or every_pair else seen


RULES: dict[str, Callable[[Call], Result]] = {
    "convolution": convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d"), pooling),
    "max_unpool2d": max_unpool2d,
    "scatter": scatter,
    "upsample_nearest2d": interpolation((0,), centred=False),
    "_upsample_nearest_exact2d": nearest_exact,
    "upsample_bilinear2d": interpolation((0, 1), centred=True),
    "upsample_bicubic2d": interpolation((-1, 0, 1, 2), centred=True),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), padding),
    "slice": slicing,
    "index_select": index_select,
    **dict.fromkeys(("split", "split_with_sizes"), split),
    **dict.fromkeys(("view", "_unsafe_view", "unsqueeze", "squeeze"), reshape),
    **dict.fromkeys(("expand", "clone", "_to_copy", "detach", "alias"), same),
    "permute": permute,
    **dict.fromkeys(("transpose", "t"), transpose),
    "cat": join,
    "stack": stack,
    "unbind": unbind,
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
        batch_norm,
    ),
    "native_group_norm": group_norm,
    "native_layer_norm": layer_norm,
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "argmax"), reduction
    ),
    **dict.fromkeys(("logsumexp", "linalg_vector_norm"), reduction),
    **dict.fromkeys(
        ("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptive_pooling
    ),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "cumsum"), softmax),
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm"), product),
}
