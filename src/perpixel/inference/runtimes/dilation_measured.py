"""Whether a dilated convolution is faster as shifted products: measured once for each shape."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from perpixel.inference.remembered import Seconds, remembered
from perpixel.machine import processor
from perpixel.networks.dilated import ShiftedProducts

# oneDNN's convolutions were slow from dilation 12 on; below 6 nothing is to be gained.
LEAST_DILATION, LEAST_CHANNELS = 6, 64
CELLS = 64  # of the features: 512 pixels at stride 8
RUNS = 3


def gains_by_shifting(conv: nn.Conv2d) -> bool:
    """Is this convolution, in the type of its weights, faster as `ShiftedProducts` on this CPU?"""
    if max(conv.dilation) < LEAST_DILATION or conv.in_channels < LEAST_CHANNELS:
        return False
    about = {
        "measured": "dilated convolution",
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "shape": f"{tuple(conv.weight.shape)} {conv.weight.dtype} dilation {conv.dilation}",
    }
    seconds = remembered(about, lambda: _measured(conv))
    plain, shifted = seconds.get("convolution"), seconds.get("shifted products")
    return plain is not None and shifted is not None and shifted < plain


def _measured(conv: nn.Conv2d) -> Seconds:
    # Own random numbers: the caller's go on as they would have.
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, conv.in_channels, CELLS, CELLS, generator=generator)
    features = features.to(conv.weight.dtype)
    features = features.to(memory_format=torch.channels_last)
    shifted = ShiftedProducts(conv)
    with torch.inference_mode():
        return {
            "convolution": _fastest(lambda: conv(features)),
            "shifted products": _fastest(lambda: shifted(features)),
        }


def _fastest(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
