"""Which precision a run computes in: measured on the run's own network and batch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

from perpixel.training import batch_norm

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# bf16 must win by more than timing noise before it is worth its rounding.
GAIN = 1.15
TRIALS = 2


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which forward passes run."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_TYPES[precision])


def measure(
    network: nn.Module,
    loss_of: Callable[[nn.Module], torch.Tensor],
    device: torch.device,
) -> tuple[Precision, str]:
    """Time a forward and a backward pass in fp32 and in bf16, on a copy of the network.

    bf16 helps where the processor multiplies it in hardware and the network is dense;
    depthwise networks are often slower in it, so it is measured and not assumed.

    Args:
        network: the network, on its device.
        loss_of: computes the loss of a batch with the network that it is given.
        device: where the network is.

    Returns:
        the faster precision, and a line that says what was measured.
    """
    if not _may_multiply_bf16(device):
        return "fp32", "precision fp32: this device has no bf16 arithmetic"
    seconds: dict[Precision, float] = {}
    trial_network = copy.deepcopy(network)
    # Only one process measures: it would wait for the others' statistics for ever.
    batch_norm.leave_alone(trial_network)
    candidates: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in candidates:
        times = []
        for _ in range(1 + TRIALS):  # the first one warms up
            begun = time.perf_counter()
            with autocast(precision, device):
                loss = loss_of(trial_network)
            loss.backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - begun)
            trial_network.zero_grad(set_to_none=True)
        seconds[precision] = min(times[1:])
    chosen: Precision = "bf16" if seconds["fp32"] > GAIN * seconds["bf16"] else "fp32"
    measured = ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items())
    return chosen, f"precision {chosen}: measured {measured} for a forward and backward pass"


def _may_multiply_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older AVX-512 processors emulate bf16; there the measurement finds it slower.
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
