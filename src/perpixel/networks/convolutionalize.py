"""A classifier made fully convolutional (Long, Shelhamer and Darrell 2015, section 3.1): the same
weights give class scores for an image of any size, one cell for each place of the classifier's
window.

The classifier is traced into a graph, and its head rewritten: average pooling to a fixed number of
cells becomes average pooling with the kernel that it has at the classifier's own size, flattening
falls away, and a fully connected layer becomes a convolution whose kernel covers what was
flattened.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import ShapeProp

from perpixel.errors import ConfigError
from perpixel.networks.receptive_field import LARGE, ReceptiveField
from perpixel.networks.unpadded import remove_padding
from perpixel.networks.walk import walk
from perpixel.score_map import ScoreMap

USUAL_SIZE = (224, 224)
POOLS = (nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d)
FLATTENS = (nn.Flatten, torch.flatten, torch.squeeze, "flatten", "view", "reshape", "squeeze")
MEANS = (torch.mean, "mean")


class DenseClassifier(nn.Module):
    """Class scores of an image of any size, from a classifier's weights.

    Args:
        layers: from (B, bands, H, W) to scores (B, classes, h, w).
        bands: how many bands the images have.
        window: (H, W) of the image that gives exactly one cell; None: what that cell sees.

    Attributes:
        window: cell (i, j) scores the window that begins at pixel (i · stride, j · stride).
        stride: pixels from one cell to the next.
        grid: the product of all downsamplings, which is the same.
        whole_image_layer: a layer (squeeze-and-excite) that looks at the whole image where the
            classifier looks at its window: there the two differ. None where there is none.
    """

    def __init__(
        self, layers: nn.Module, bands: int, window: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.layers = layers
        scores = walk(layers, LARGE, bands).scores
        field = ReceptiveField.of(scores)
        if field is None or field.stride[0].denominator != 1:
            raise _unfit("its scores have no rows and columns of whole strides")
        first = (scores.spans[axis].sees(0) or (0, 0) for axis in ("y", "x"))
        height, width = (last + 1 for _, last in first)
        self.window = window or (height, width)
        self.stride = self.grid = int(field.stride[0])
        self.offset = (float(field.offset[0]), float(field.offset[1]))
        self.whole_image_layer = field.whole_image_layer

    def forward(self, images: Float[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score images of any height and width from 1 up; smaller ones than the window are padded
        to it with zeros, at the bottom and the right."""
        height, width = images.shape[2:]
        rows, columns = max(self.window[0] - height, 0), max(self.window[1] - width, 0)
        scores = self.layers(F.pad(images, (0, columns, 0, rows)))
        stride = float(self.stride)
        return ScoreMap(scores, (stride, stride), self.offset, (height, width))


def convolutionalize(
    classifier: nn.Module, *, size: tuple[int, int] | None = None, padding: bool = True
) -> DenseClassifier:
    """A fully convolutional copy of a classifier, in evaluation mode, with the same weights.

    On an image of the classifier's own size the one cell of its scores is the classifier's output.
    In a larger image each cell scores one window, `stride` pixels further than the cell before. A
    layer's padding then lies around the image and no longer around each window; without padding
    every cell is exactly the (unpadded) classifier's output on its window.

    Args:
        classifier: from (B, bands, H, W) to (B, classes): a torchvision or timm network whose head
            is flattening and fully connected layers, or global average pooling and such layers.
        size: the classifier's own (H, W); without it what timm states, or 224×224.
        padding: keep the layers' padding. Without it, every layer puts out only the cells whose
            windows lie inside the image, and shortcuts are cropped to them.

    Raises:
        ConfigError: the classifier cannot be traced, or its head is of another kind.
    """
    own = size or own_size(classifier)
    classifier = copy.deepcopy(classifier).eval()
    try:
        layers = fx.GraphModule(classifier, _Tracer().trace(classifier))
    except (TypeError, ValueError, RuntimeError, fx.proxy.TraceError) as error:
        raise _unfit(f"its forward pass cannot be traced ({error})") from None
    bands = _bands(layers)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        ShapeProp(layers, fake_mode=mode).propagate(torch.empty(1, bands, *own))
    _rewrite_head(layers)
    if not padding:
        remove_padding(layers)
    layers.graph.lint()
    layers.delete_all_unused_submodules()
    layers.recompile()
    return DenseClassifier(layers.eval(), bands, own if padding else None)


def own_size(classifier: nn.Module) -> tuple[int, int]:
    """(H, W) of the images that a classifier was made for: what timm states, or 224×224."""
    stated = getattr(classifier, "pretrained_cfg", None) or {}
    height, width = tuple(stated.get("input_size", (0, 0, 0)))[1:]
    return (int(height), int(width)) if height else USUAL_SIZE


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if super().is_leaf_module(module, name) or isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            return True
        # timm's small layers branch on sizes and modes, which a trace cannot follow; so does
        # VGG's fully connected part, which timm already has as convolutions.
        small = type(module).__module__.startswith("timm.layers") and not list(module.children())
        return small or type(module).__name__ == "ConvMlp"


def _rewrite_head(layers: fx.GraphModule) -> None:
    kernel, dilation = (1, 1), (1, 1)  # of the next fully connected layer
    head = [(node, _shape(node.all_input_nodes[0]), _shape(node)) for node in _head(layers.graph)]
    for node, before, after in head:
        what = _what(layers, node)
        kind = type(what) if isinstance(what, nn.Module) else what
        if len(before) == 4 and _is_pooling(kind, before, after):
            dilation = _replace_pool(layers, node, before, after)
        elif kind in FLATTENS and len(before) == 4 and len(after) == 2:
            kernel = (before[2], before[3])
            node.replace_all_uses_with(node.all_input_nodes[0])
            layers.graph.erase_node(node)
        elif kind in FLATTENS and before == after:
            node.replace_all_uses_with(node.all_input_nodes[0])
            layers.graph.erase_node(node)
        elif isinstance(what, nn.Linear) and len(before) == 2:
            _replace(layers, node, _as_convolution(what, kernel, dilation))
            kernel, dilation = (1, 1), (1, 1)
        elif isinstance(what, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(what.num_features, what.eps).eval()
            norm.load_state_dict(what.state_dict())
            _replace(layers, node, norm)
        elif len(before) == 2 and isinstance(what, nn.Module) and list(what.parameters()):
            raise _unfit(f"{node.target} in its head is a {type(what).__name__}")
    if not head or len(head[-1][2]) != 2 or kernel != (1, 1):
        raise _unfit("it does not end in scores of classes")


def _head(graph: fx.Graph) -> list[fx.Node]:
    """The nodes behind the last that joins two tensors. Whatever is pooled there is no gate."""
    chain: list[fx.Node] = []
    node = graph.output_node()
    while True:
        tensors = [before for before in node.all_input_nodes if "tensor_meta" in before.meta]
        if len(tensors) != 1 or tensors[0].op == "placeholder":
            return chain[::-1]
        node = tensors[0]
        if any("tensor_meta" in user.meta for user in list(node.users)[1:]):
            return chain[::-1]
        chain.append(node)


def _what(layers: fx.GraphModule, node: fx.Node) -> Any:
    return layers.get_submodule(str(node.target)) if node.op == "call_module" else node.target


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))


def _is_pooling(kind: Any, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    return kind in POOLS or (kind in MEANS and after[:2] == before[:2] and 2 <= len(after) <= 4)


def _replace_pool(
    layers: fx.GraphModule, node: fx.Node, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, int]:
    """Average pooling with the kernel of the own size; its windows now begin at every cell, so
    those that one fully connected layer reads lie `kernel` apart."""
    cells = (after[2], after[3]) if len(after) == 4 else (1, 1)
    if before[2] % cells[0] or before[3] % cells[1]:
        raise _unfit(f"{before[2]}×{before[3]} cells are pooled to {cells[0]}×{cells[1]}")
    kernel = (before[2] // cells[0], before[3] // cells[1])
    _replace(layers, node, nn.AvgPool2d(kernel, stride=1))
    return kernel if cells != (1, 1) else (1, 1)


def _replace(layers: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    name = str(node.target) if node.op == "call_module" else f"dense_{node.name}"
    layers.add_submodule(name, module)
    with layers.graph.inserting_before(node):
        new = layers.graph.call_module(name, (node.all_input_nodes[0],))
    new.meta = node.meta
    node.replace_all_uses_with(new)
    layers.graph.erase_node(node)


def _as_convolution(
    layer: nn.Linear, kernel: tuple[int, int], dilation: tuple[int, int]
) -> nn.Conv2d:
    channels = layer.in_features // (kernel[0] * kernel[1])
    with torch.device("meta"):  # its weights are replaced at once
        conv = nn.Conv2d(
            channels, layer.out_features, kernel, dilation=dilation, bias=layer.bias is not None
        )
    conv.weight = nn.Parameter(layer.weight.detach().view(-1, channels, *kernel))
    conv.bias = layer.bias
    return conv


def _bands(layers: fx.GraphModule) -> int:
    for node in layers.graph.nodes:
        layer = _what(layers, node)
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    raise _unfit("it has no convolution")


def _unfit(found: str) -> ConfigError:
    return ConfigError(
        "classifier",
        found=" ".join(found.split())[:300],
        expected="convolutions, then pooling or flattening, then fully connected layers",
        mend="Give a classifier such as torchvision's VGG, AlexNet, ResNet or MobileNet",
    )
