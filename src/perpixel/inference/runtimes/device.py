"""The device that torch computes on."""

from __future__ import annotations

import torch

from perpixel.errors import ConfigError


def pick_device(name: str | None = "auto") -> torch.device:
    """The device of that name; "auto" or None is a GPU where there is one, else the CPU.

    Raises:
        ConfigError: it is no name of a device, or this machine has none such.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mend = "Give auto, cpu, cuda or cuda:0"
    try:
        device = torch.device(str(name))
    except RuntimeError:
        raise ConfigError("device", found=f"no device is called {name!r}", mend=mend) from None
    present = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(device.type, 0)
    if (device.index or 0) >= present:
        raise ConfigError("device", found=f"this machine has no {name}", mend=mend)
    return device
