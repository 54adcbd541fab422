"""How much memory a prediction takes, found without computing it, and how much it may take."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from perpixel.errors import ConfigError
from perpixel.machine import available_memory
from perpixel.networks.skeleton import skeleton

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Of the memory that is free others may want some.
_SHARE = 0.8
# Convolutions reorder their input, and a library's threads have their own workspace: what was
# measured on the networks of `perpixel.networks` was at most this much above what is counted.
WORKSPACE = 1.2


def memory_bytes(text: str | None) -> int:
    """Bytes in words such as "2G", "1.5 GiB", "800M" or "900000000"; K, M, G and T are powers of
    1024. None: most of what the machine, or its container, has free.

    Raises:
        ConfigError: the text is nothing such, or not above 0.
    """
    if text is None:
        return own_memory() + int(_SHARE * available_memory())
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    amount = float(found[1]) * _UNITS[found[2].upper()] if found else 0.0
    if amount < 1:
        raise ConfigError(
            "memory",
            found=f"{text!r}",
            expected="an amount of memory",
            mend="Give it as 2G, 1.5G or 800M",
        )
    return int(amount)


def own_memory() -> int:
    """Bytes that this process holds now, in the machine's memory."""
    return int(psutil.Process().memory_info().rss)


def forward_bytes(
    network: nn.Module,
    forward: Callable[[nn.Module, torch.Tensor], Any],
    shape: tuple[int, int, int, int],
) -> int:
    """About how many bytes the activations of a forward pass in fp32 hold at their peak.

    It runs on the meta device, and the tensors that are alive are counted: nothing is computed or
    allocated. The input is counted, weights are not.

    Args:
        network: the module.
        forward: what is called with the module and its input.
        shape: (B, bands, H, W) of the input.
    """
    counter = _LiveBytes()
    empty = skeleton(network)
    with torch.inference_mode(False), torch.no_grad(), counter:
        forward(empty, torch.zeros(shape, device="meta"))
    return int(counter.peak * WORKSPACE)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that operations made and that are still referred to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        # For each storage: how many tensors look at it.
        self._tensors: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._tensors:
            self._tensors[key] = 0
            self._live += size
            self.peak = max(self.peak, self._live)
        self._tensors[key] += 1
        weakref.finalize(tensor, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._tensors[key] -= 1
        if not self._tensors[key]:
            del self._tensors[key]
            self._live -= size
