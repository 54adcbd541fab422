"""A network's copy for inference: batch norm folded into the convolutions before it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from perpixel.networks.atrous import PooledBatchNorm2d
from perpixel.networks.convolution import DepthwiseConv2d, FixedPadConv2d
from perpixel.networks.network import Network
from perpixel.networks.skeleton import skeleton

DROPOUTS = (nn.Dropout, nn.Dropout2d)
PROBE = (64, 96)  # pixels of the image that shows which layer feeds which


def folded(network: Network) -> Network:
    """A copy that computes the same in evaluation, to rounding, with fewer layers.

    Every batch norm that alone reads a convolution's (or transposed convolution's) result becomes
    part of that convolution's weights and bias; every convolution is a plain `nn.Conv2d`; dropout
    is gone. A batch norm that follows something else stays, as after the ReLU of FCN-decoder.
    The copy is for inference alone: in evaluation mode, without gradients.

    Args:
        network: in either mode; it is left as it is.
    """
    ours = copy.deepcopy(network).eval().requires_grad_(False)
    _replace(ours, _plain)
    norms = _fed_by_a_convolution(ours)
    for conv_name, norm_name in norms.items():
        conv, norm = ours.get_submodule(conv_name), ours.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        fold(conv, norm)
        ours.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
    return ours.eval()


def fold(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Make a convolution compute, in place, what batch norm makes of its result in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In double precision: a product of three rounded factors would be rounded once more.
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -norm.running_mean.double()
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = conv.weight.double()
    if isinstance(conv, nn.ConvTranspose2d):  # (in, out / groups, kernel, kernel)
        grouped = weight.view(conv.groups, -1, *weight.shape[1:])
        weight = (grouped * scale.view(conv.groups, 1, -1, 1, 1)).view_as(weight)
    else:  # (out, in / groups, kernel, kernel)
        weight = weight * scale.view(-1, 1, 1, 1)
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)


def _replace(network: nn.Module, better: Callable[[nn.Module], nn.Module]) -> None:
    """Put `better(layer)` in the place of every layer, in place."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            replacement = better(child)
            if replacement is not child:
                setattr(parent, name, replacement)


def _plain(layer: nn.Module) -> nn.Module:
    """The layer itself, or a plainer one that computes the same in evaluation."""
    if isinstance(layer, DROPOUTS):
        return nn.Identity()
    if isinstance(layer, FixedPadConv2d):
        return _padded_once(layer)
    if isinstance(layer, DepthwiseConv2d):
        return _convolution(layer, layer.weight, layer.padding)
    return layer


def _padded_once(conv: FixedPadConv2d) -> nn.Module:
    """The plain convolution whose kernel already has the zeros that a FixedPadConv2d adds."""
    rows, columns = conv.total_padding
    weight = conv.weight
    if conv.dilation == (1, 1):
        weight = F.pad(weight, (columns % 2, 0, rows % 2, 0))
    elif rows % 2 or columns % 2:
        # Zeros in a dilated kernel would lie `dilation` cells before it, not one.
        before, after = (columns // 2, rows // 2), (columns - columns // 2, rows - rows // 2)
        pad = nn.ZeroPad2d((before[0], after[0], before[1], after[1]))
        return nn.Sequential(pad, _convolution(conv, weight, (0, 0)))
    return _convolution(conv, weight, (rows - rows // 2, columns - columns // 2))


def _convolution(
    conv: nn.Conv2d, weight: torch.Tensor, padding: str | tuple[int, ...]
) -> nn.Conv2d:
    with torch.device("meta"):  # its weights are replaced at once
        plain = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            tuple(weight.shape[2:]),  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            bias=conv.bias is not None,
        )
    plain.weight = nn.Parameter(weight.detach(), requires_grad=False)
    plain.bias = conv.bias
    return plain.eval()


def _fed_by_a_convolution(network: Network) -> Mapping[str, str]:
    """The batch norms that alone read what a convolution puts out, by the convolution's name.

    The network is run once, on a tensor without numbers, and every function that reads a tensor is
    counted. A layer that runs twice, or shares its weights, is left out.
    """
    made_by: dict[int, str] = {}  # by the id of a result
    reads: Counter[int] = Counter()
    runs: Counter[str] = Counter()
    pairs: list[tuple[int, str]] = []
    kept: list[object] = []  # so that no id is given twice

    class Reads(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            if list(_tensors(result)):  # not the question for a size or a type
                reads.update({id(tensor) for tensor in _tensors((args, kwargs))})
            kept.append((args, kwargs, result))
            return result

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            runs[name] += 1
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                made_by[id(output)] = name
            else:
                pairs.append((id(inputs[0]), name))

        return hook

    norms, empty = _batch_norms(), skeleton(network)
    for name, module in empty.named_modules():
        is_norm = type(module) in norms and getattr(module, "running_var", None) is not None
        if is_norm or type(module) in (nn.Conv2d, nn.ConvTranspose2d):
            module.register_forward_hook(note(name))
    images = torch.empty(1, _bands(network), *PROBE, device="meta", dtype=torch.float32)
    with torch.no_grad(), Reads():
        scores = empty(images).scores
    owners = Counter(id(getattr(module, "weight", None)) for module in network.modules())
    found = {}
    for result, norm in pairs:
        conv = made_by.get(result)
        if conv is None or result == id(scores) or reads[result] != 1:
            continue
        own = owners[id(network.get_submodule(conv).weight)] == 1
        if own and runs[conv] == runs[norm] == 1:
            found[conv] = norm
    return found


def _batch_norms() -> tuple[type[nn.Module], ...]:
    """What is one multiplication and one addition for each channel in evaluation; timm's has its
    activation inside, as `act`."""
    from timm.layers.norm_act import BatchNormAct2d

    return nn.BatchNorm2d, PooledBatchNorm2d, BatchNormAct2d


def _bands(network: nn.Module) -> int:
    """How many bands the images have: as many as the first convolution takes."""
    return next(layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))


def _tensors(value: object) -> Iterable[torch.Tensor]:
    """The tensors in arguments or results, however deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
