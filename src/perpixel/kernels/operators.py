"""The fused operations as torch operators: what autograd, torch.compile and devices see of them.

Each takes a ScoreMap's parts, since an operator's arguments are tensors and plain numbers. The
kernels themselves are imported when the first tensor of their device comes: `import perpixel`
compiles nothing and needs no Triton. Triton launches on the current GPU, so that is the tensor's
for as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

from perpixel.score_map import ScoreMap

# Not `torch.library.custom_op`: that imports all of torch's compiler with the first call.
_MAP = "Tensor scores, float[] stride, float[] offset, SymInt[] size"
_SCHEMAS = {
    "cross_entropy": f"({_MAP}, Tensor mask, Tensor? class_weights, int ignore_index, "
    "float label_smoothing, str reduction, bool with_gradient) -> (Tensor, Tensor)",
    "dice": f"({_MAP}, Tensor mask, int ignore_index, bool with_gradient) -> (Tensor, Tensor)",
    "hard_pixels": f"({_MAP}, Tensor mask, int ignore_index, float share) -> Tensor",
    "argmax": f"({_MAP}) -> Tensor",
    "winner": f"({_MAP}) -> (Tensor, Tensor)",
    "confusion": "(Tensor prediction, Tensor mask, SymInt classes, int ignore_index) -> Tensor",
}
for _name, _schema in _SCHEMAS.items():
    torch.library.define(f"perpixel::{_name}", _schema, tags=torch.Tag.pt2_compliant_tag)

cross_entropy: Callable[..., Any] = torch.ops.perpixel.cross_entropy.default
dice: Callable[..., Any] = torch.ops.perpixel.dice.default
hard_pixels: Callable[..., Any] = torch.ops.perpixel.hard_pixels.default
argmax: Callable[..., Any] = torch.ops.perpixel.argmax.default
winner: Callable[..., Any] = torch.ops.perpixel.winner.default
confusion: Callable[..., Any] = torch.ops.perpixel.confusion.default


def _kernels(tensor: torch.Tensor) -> ModuleType:
    """The module that computes on the tensor's device."""
    if not tensor.is_cuda:
        return import_module("perpixel.kernels.cpu")
    if find_spec("triton") is None:
        raise ImportError("perpixel's kernels on CUDA need Triton: pip install triton")
    return import_module("perpixel.kernels.cuda")


def _map(
    scores: torch.Tensor, stride: Sequence[float], offset: Sequence[float], size: Sequence[int]
) -> ScoreMap:
    return ScoreMap(
        scores, (stride[0], stride[1]), (offset[0], offset[1]), (int(size[0]), int(size[1]))
    )


@torch.library.impl("perpixel::cross_entropy", ("cpu", "cuda"))
def _cross_entropy(
    scores: torch.Tensor,
    stride: Sequence[float],
    offset: Sequence[float],
    size: Sequence[int],
    mask: torch.Tensor,
    class_weights: torch.Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
    with_gradient: bool,
) -> Any:
    """The loss, and its gradient by the scores (empty where it is not wanted)."""
    with torch.cuda.device_of(scores):  # type: ignore[no-untyped-call]
        return _kernels(scores).cross_entropy(
            _map(scores, stride, offset, size),
            mask,
            class_weights,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
            with_gradient=with_gradient,
        )


@torch.library.impl("perpixel::dice", "cpu")
def _dice(
    scores: torch.Tensor,
    stride: Sequence[float],
    offset: Sequence[float],
    size: Sequence[int],
    mask: torch.Tensor,
    ignore_index: int,
    with_gradient: bool,
) -> Any:
    """The loss, and its gradient by the scores (empty where it is not wanted)."""
    return _kernels(scores).dice(
        _map(scores, stride, offset, size),
        mask,
        ignore_index=ignore_index,
        with_gradient=with_gradient,
    )


@torch.library.impl("perpixel::hard_pixels", "cpu")
def _hard_pixels(
    scores: torch.Tensor,
    stride: Sequence[float],
    offset: Sequence[float],
    size: Sequence[int],
    mask: torch.Tensor,
    ignore_index: int,
    share: float,
) -> Any:
    """The mask with all but its hardest pixels ignored."""
    score_map = _map(scores, stride, offset, size)
    return _kernels(scores).hard_pixels(score_map, mask, ignore_index=ignore_index, share=share)


@torch.library.impl("perpixel::argmax", ("cpu", "cuda"))
def _argmax(
    scores: torch.Tensor, stride: Sequence[float], offset: Sequence[float], size: Sequence[int]
) -> Any:
    """The class of the highest score at every pixel."""
    with torch.cuda.device_of(scores):  # type: ignore[no-untyped-call]
        return _kernels(scores).argmax(_map(scores, stride, offset, size))


@torch.library.impl("perpixel::winner", ("cpu", "cuda"))
def _winner(
    scores: torch.Tensor, stride: Sequence[float], offset: Sequence[float], size: Sequence[int]
) -> Any:
    """The class of the highest score at every pixel, and its probability."""
    with torch.cuda.device_of(scores):  # type: ignore[no-untyped-call]
        return _kernels(scores).winner(_map(scores, stride, offset, size))


@torch.library.impl("perpixel::confusion", ("cpu", "cuda"))
def _confusion(
    prediction: torch.Tensor, mask: torch.Tensor, classes: int, ignore_index: int
) -> Any:
    """How often each class of the mask (row) was predicted as each class (column)."""
    with torch.cuda.device_of(mask):  # type: ignore[no-untyped-call]
        return _kernels(mask).confusion(
            prediction, mask, classes=classes, ignore_index=ignore_index
        )


def _empty(like: torch.Tensor, shape: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, device=like.device, dtype=dtype)


def _label_type(scores: torch.Tensor) -> torch.dtype:
    return torch.uint8 if scores.shape[1] <= 256 else torch.uint16


def _fake_loss(scores: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    shape = scores.shape if rest[-1] else (0,)
    return _empty(scores, (), torch.float32), _empty(scores, shape, torch.float32)


def _fake_hard_pixels(
    scores: torch.Tensor, stride: Any, offset: Any, size: Any, mask: torch.Tensor, *rest: Any
) -> torch.Tensor:
    return torch.empty_like(mask, memory_format=torch.contiguous_format)


def _fake_argmax(
    scores: torch.Tensor, stride: Any, offset: Any, size: Sequence[Any]
) -> torch.Tensor:
    return _empty(scores, (scores.shape[0], *size), _label_type(scores))


def _fake_winner(
    scores: torch.Tensor, stride: Any, offset: Any, size: Sequence[Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (scores.shape[0], *size)
    return _empty(scores, shape, _label_type(scores)), _empty(scores, shape, torch.float32)


def _fake_confusion(
    prediction: torch.Tensor, mask: Any, classes: Any, ignore_index: Any
) -> torch.Tensor:
    return _empty(prediction, (classes, classes), torch.int64)


def _keep_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    ctx.save_for_backward(output[1])
    ctx.dtype, ctx.inputs = inputs[0].dtype, len(inputs)
    ctx.mark_non_differentiable(output[1])


def _scale_gradient(
    ctx: Any, by_loss: torch.Tensor, by_gradient: torch.Tensor | None
) -> tuple[torch.Tensor | None, ...]:
    (gradient,) = ctx.saved_tensors
    return ((gradient * by_loss).to(ctx.dtype), *[None] * (ctx.inputs - 1))


for _name, _fake in (
    ("cross_entropy", _fake_loss),
    ("dice", _fake_loss),
    ("hard_pixels", _fake_hard_pixels),
    ("argmax", _fake_argmax),
    ("winner", _fake_winner),
    ("confusion", _fake_confusion),
):
    torch.library.register_fake(f"perpixel::{_name}", _fake)
for _name in ("cross_entropy", "dice"):
    torch.library.register_autograd(
        f"perpixel::{_name}", _scale_gradient, setup_context=_keep_gradient
    )
