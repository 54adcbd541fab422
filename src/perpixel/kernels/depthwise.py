"""A depthwise convolution whose gradient on a CPU is a kernel of ours.

oneDNN convolves forward at the memory's speed, but its way back takes five to ten times as long as
reading and writing the same numbers once. The kernel does that: it goes over input, output and
weights together, sixteen channels at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float32

_LANES, _TAPS, _STRIDES = 16, 5, (1, 2)  # of the kernel

torch.library.define(
    "perpixel::depthwise",
    "(Tensor features, Tensor weight, int stride, int[] before, int[] after) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
torch.library.define(
    "perpixel::depthwise_gradient",
    "(Tensor by_output, Tensor features, Tensor weight, int stride, int[] before) "
    "-> (Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)
_depthwise: Callable[..., Any] = torch.ops.perpixel.depthwise.default
_gradient: Callable[..., Any] = torch.ops.perpixel.depthwise_gradient.default


def has_depthwise_kernel(
    features: torch.Tensor, weight: torch.Tensor, stride: tuple[int, ...]
) -> bool:
    """Whether `depthwise` takes such tensors."""
    return (
        features.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
        and features.ndim == 4
        and weight.shape[:2] == (features.shape[1], 1)
        and features.shape[1] % _LANES == 0
        and weight.shape[3] <= _TAPS
        and stride[0] == stride[1]
        and stride[0] in _STRIDES
    )


def depthwise(
    features: Float32[torch.Tensor, "batch channels H W"],
    weight: Float32[torch.Tensor, "channels 1 rows columns"],
    *,
    stride: int,
    before: tuple[int, int],
    after: tuple[int, int],
) -> Float32[torch.Tensor, "batch channels h w"]:
    """Convolve each channel by itself, in padding of zeros.

    Differentiable once. What `has_depthwise_kernel` says no to has to go elsewhere.

    Args:
        features: fastest with channels last in memory.
        weight: one kernel for each channel.
        stride: of rows and columns, 1 or 2.
        before, after: rows and columns of zeros before and behind the features.
    """
    result: torch.Tensor = _depthwise(features, weight, stride, before, after)
    return result


def _convolve(
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    before: Sequence[int],
    after: Sequence[int],
) -> torch.Tensor:
    # Zeros before the kernel do what zeros behind the features would: padding the kernel costs
    # nothing, padding the features copies them.
    more = [behind - ahead for ahead, behind in zip(before, after, strict=True)]
    if min(more) >= 0:
        weight, padding = F.pad(weight, (more[1], 0, more[0], 0)), list(after)
    else:
        features, padding = F.pad(features, (before[1], after[1], before[0], after[0])), [0, 0]
    result = F.conv2d(features, weight, None, stride, padding, 1, features.shape[1])
    return result.contiguous(memory_format=torch.channels_last)


@torch.library.impl("perpixel::depthwise_gradient", "cpu")
def _gradient_on_cpu(
    by_output: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    before: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    from perpixel.kernels.cpu_depthwise import depthwise_gradient  # compiles

    return depthwise_gradient(by_output, features, weight, stride, (before[0], before[1]))


def _fake_gradient(
    by_output: torch.Tensor, features: torch.Tensor, weight: torch.Tensor, *rest: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(features, memory_format=torch.channels_last), torch.empty_like(weight)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    features, weight, ctx.stride, ctx.before, _ = inputs
    ctx.save_for_backward(features, weight)


def _backward(ctx: Any, by_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    by_features, by_weight = _gradient(by_output, *ctx.saved_tensors, ctx.stride, ctx.before)
    return by_features, by_weight, None, None, None


torch.library.impl("perpixel::depthwise", "cpu", _convolve)
torch.library.register_fake("perpixel::depthwise", _convolve)
torch.library.register_fake("perpixel::depthwise_gradient", _fake_gradient)
torch.library.register_autograd("perpixel::depthwise", _backward, setup_context=_keep)
