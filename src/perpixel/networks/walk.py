"""A walk through a network's graph: every operation that it runs on an image, where in the network
it stands, what its result sees of the image, and how many multiply–adds it takes.

Nothing is computed: the tensors have shapes but no values, so the walk takes no time to speak of
at any image size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from perpixel.networks.call import Call
from perpixel.networks.operations import RULES
from perpixel.networks.seen import Seen, met
from perpixel.networks.skeleton import skeleton
from perpixel.score_map import ScoreMap

# Operations on each cell by itself that torch does not mark as such.
CELL_BY_CELL = {"hardswish", "hardswish_", "_prelu_kernel", "native_dropout", "log_sigmoid_forward"}
# They take a shape from their input, and no values.
SHAPE_ONLY = {f"{kind}_like" for kind in ("zeros", "ones", "empty", "full")}
SHAPE_ONLY |= {f"new_{kind}" for kind in ("zeros", "ones", "empty", "full")}
# Rows before and after, columns before and after.
Zeros = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Step:
    """One operation.

    Args:
        layer: the name of the module that runs it; "" is the network itself.
        operation: torch's name for it.
        seen: what its first result's cells see.
        multiply_adds: how many; of convolutions and matrix products, elsewhere 0.
    """

    layer: str
    operation: str
    seen: Seen
    multiply_adds: int


@dataclass(frozen=True)
class Walk:
    """Every step from an image to a network's scores, in their order.

    Args:
        steps: those that depend on the image.
        scores: what the scores' cells see.
        score_map: the network's result, with scores that have no values.
    """

    steps: tuple[Step, ...]
    scores: Seen
    score_map: ScoreMap


def walk(network: nn.Module, size: tuple[int, int], bands: int = 3) -> Walk:
    """Follow one image of this size, in evaluation mode.

    Args:
        network: from (B, bands, H, W) to a ScoreMap, or to scores (B, classes, h, w).
        size: (H, W).
        bands: how many bands the image has.

    Raises:
        ValueError: the network uses an operation of which is not known what it sees.
    """
    empty = skeleton(network)
    tensors = (*empty.parameters(), *empty.buffers())
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    recorder = _Recorder()
    with torch.inference_mode(False), torch.no_grad():
        image = torch.empty(1, bands, *size, dtype=dtype, device="meta")
        with recorder.named(empty), recorder:
            recorder.seen[image] = Seen.image(image.shape)
            result = empty(image)
    score_map = result if isinstance(result, ScoreMap) else ScoreMap.of(result, size)
    return Walk(tuple(recorder.steps), recorder.seen[score_map.scores], score_map)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation between the modules and the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = WeakIdKeyDictionary()
        self.zeros = WeakIdKeyDictionary()
        self.constants = WeakIdKeyDictionary()
        self.steps: list[Step] = []
        self.path = [""]

    @contextmanager
    def named(self, network: nn.Module) -> Iterator[None]:
        """Know which module runs."""
        hooks: list[Any] = []
        for name, module in network.named_modules():
            hooks.append(
                module.register_forward_pre_hook(lambda *_, name=name: self.path.append(name))
            )
            hooks.append(module.register_forward_hook(lambda *_: self._leave()))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leave(self) -> None:
        self.path.pop()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        call = self._call(func, args, kwargs or {}, results)
        seen = [self.seen[tensor] for tensor in inputs if tensor in self.seen]
        if not seen or call.name in SHAPE_ONLY:
            self._remember(func, call, inputs, results)
            return result
        try:
            answers = self._answers(func, call, seen)
        except ValueError as error:
            layer = self.path[-1] or "the network itself"
            raise ValueError(f"{layer}: {error}") from None
        named = []
        for tensor, answer in zip(results, answers, strict=False):
            if answer.whole == "" and self.path[-1]:
                answer = replace(answer, whole=self.path[-1])
            self.seen[tensor] = answer
            named.append(answer)
        self.steps.append(Step(self.path[-1], call.name, named[0], _multiply_adds(call)))
        return result

    def _call(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], results: list[torch.Tensor]
    ) -> Call:
        arguments = {
            argument.name: args[place]
            if place < len(args)
            else kwargs.get(argument.name, argument.default_value)
            for place, argument in enumerate(func._schema.arguments)
        }
        shapes = [tuple(tensor.shape) for tensor in results]
        name = func.overloadpacket.__name__
        return Call(name, arguments, self.seen.get, self.zeros.get, self.constants.get, shapes)

    def _answers(self, func: Any, call: Call, seen: list[Seen]) -> list[Seen]:
        rule = RULES.get(call.name)
        if rule is not None:
            answer = rule(call)
            return answer if isinstance(answer, list) else [answer]
        if torch.Tag.pointwise in func.tags or call.name in CELL_BY_CELL:
            return [met(shape, seen) for shape in call.shapes]
        raise call.unknown()

    def _remember(
        self, func: Any, call: Call, inputs: list[torch.Tensor], results: list[torch.Tensor]
    ) -> None:
        """Of tensors that do not depend on the image: the zeros around a weight, and the values of
        whole numbers, which may be the places of rows and columns."""
        if call.name == "constant_pad_nd" and call["value"] == 0 and len(call["pad"]) == 4:
            left, right, top, bottom = call["pad"]
            self.zeros[results[0]] = ((top, bottom), (left, right))
        whole = [tensor for tensor in results if not tensor.dtype.is_floating_point]
        if len(whole) == len(results) == 1 and all(tensor in self.constants for tensor in inputs):
            known = tree_map(
                lambda leaf: self.constants[leaf] if isinstance(leaf, torch.Tensor) else leaf,
                call.arguments,
            )
            if "device" in known:
                known["device"] = torch.device("cpu")
            self.constants[results[0]] = func(**known)


def _multiply_adds(call: Call) -> int:
    """Of convolutions and matrix products; the zeros around a padded kernel do not count."""
    shape = call.shapes[0]
    if call.name == "convolution":
        kernel = math.prod(len(taps) for taps in call.taps()) if len(shape) == 4 else 0
        weight = call["weight"]
        kernel = kernel or math.prod(weight.shape[2:])
        # A transposed convolution writes from each cell where another reads for each.
        cells = call["input"].numel() if call["transposed"] else math.prod(shape)
        return int(cells * weight.shape[1] * kernel)
    if call.name in {"mm", "addmm", "bmm", "baddbmm"}:
        return int(math.prod(shape) * call["mat2"].shape[-2])
    return 0
