"""A traced network without its padding: every layer puts out the cells that it can compute from the
image alone, and no others.

Along a single path that is all. Between a fork and the meeting of its paths, as around a shortcut,
padding also keeps the paths in step: there every map lies on a lattice that begins at the fork, a
layer computes those cells of the padded lattice whose windows lie inside the map before, and where
paths meet they are cropped to the cells that all have. `first` below is the row and column of the
lattice that a map's own first row and column are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx, nn

from perpixel.errors import ConfigError

Place = tuple[int, int]
WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def remove_padding(layers: fx.GraphModule) -> None:
    """Take the padding out of a traced network, in place.

    Raises:
        ConfigError: it pads in a way that is not a convolution's or a pooling's own.
    """
    first: dict[fx.Node, Place | None] = {}
    alone = _bottlenecks(layers.graph)
    for node in list(layers.graph.nodes):
        maps = [before for before in node.all_input_nodes if first.get(before)]
        layer = layers.get_submodule(str(node.target)) if node.op == "call_module" else None
        if node.op == "placeholder":
            first[node] = (0, 0)
        elif len(_shape(node)) != 4 or not maps:
            first[node] = None
        elif node.target in (F.pad, F.max_pool2d, F.avg_pool2d, F.conv2d):
            raise _unfit(node, "is no module")
        elif isinstance(layer, WINDOWED):
            start = first[maps[0]] or (0, 0)
            stride, padding = _pair(layer.stride), _padding(node, layer)
            if node not in alone:
                start = _step(layers.graph, node, start, stride, padding)
            first[node] = start
            layer.padding = (0, 0)
            if not isinstance(layer, nn.Conv2d):
                layer.ceil_mode = False
        elif len(maps) == 1:
            # One cell for the whole image, as a gate has, is on no lattice.
            first[node] = None if _shape(node)[2:] == (1, 1) else first[maps[0]]
        else:
            first[node] = _meet(layers.graph, node, maps, first)
        if node in alone and first[node]:
            first[node] = (0, 0)


def _bottlenecks(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that every path from the image to the scores goes through."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    reach, found = 0, set()
    for node, place in places.items():
        if reach <= place:
            found.add(node)
        reach = max([reach, *(places[user] for user in node.users)])
    return found


def _step(graph: fx.Graph, node: fx.Node, start: Place, stride: Place, padding: Place) -> Place:
    """Crop what a layer reads to the first window on the lattice that begins inside it."""
    place = tuple(-(-(a + p) // s) for a, p, s in zip(start, padding, stride, strict=True))
    by = [n * s - p - a for n, s, p, a in zip(place, stride, padding, start, strict=True)]
    _crop(graph, node, node.all_input_nodes[0], by)
    return place[0], place[1]


def _padding(node: fx.Node, layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> Place:
    if type(layer) not in WINDOWED or isinstance(layer.padding, str):
        raise _unfit(node, f"is a {type(layer).__name__}, whose padding depends on the size")
    return _pair(layer.padding)


def _meet(
    graph: fx.Graph, node: fx.Node, maps: list[fx.Node], first: dict[fx.Node, Place | None]
) -> Place:
    starts = [first[before] or (0, 0) for before in maps]
    place = (max(start[0] for start in starts), max(start[1] for start in starts))
    cropped = []
    for before, start in zip(maps, starts, strict=True):
        cropped.append(_crop(graph, node, before, [place[0] - start[0], place[1] - start[1]]))
    with graph.inserting_before(node):
        both = graph.call_function(common_part, tuple(cropped))
        for index, before in enumerate(cropped):
            part = graph.call_function(_item, (both, index))
            node.replace_input_with(before, part)
    return place


def common_part(*maps: torch.Tensor) -> list[torch.Tensor]:
    """The rows and columns from the first on that all maps have."""
    rows, columns = (min(features.shape[axis] for features in maps) for axis in (2, 3))
    return [features[:, :, :rows, :columns] for features in maps]


def crop(features: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Without the first rows and columns."""
    return features[:, :, rows:, columns:]


def _item(maps: list[torch.Tensor], index: int) -> torch.Tensor:
    return maps[index]


def _crop(graph: fx.Graph, node: fx.Node, before: fx.Node, by: list[int]) -> fx.Node:
    """What a node reads, cropped."""
    if not any(by):
        return before
    with graph.inserting_before(node):
        cropped = graph.call_function(crop, (before, *by))
    node.replace_input_with(before, cropped)
    return cropped


def _pair(value: int | tuple[int, ...]) -> Place:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))


def _unfit(node: fx.Node, why: str) -> ConfigError:
    return ConfigError(
        "classifier",
        found=f"{node.target} {why}",
        expected="convolutions and poolings with a fixed padding of their own",
        mend="Keep the padding, or give a classifier such as torchvision's VGG or ResNet",
    )
