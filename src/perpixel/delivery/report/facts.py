"""How large a model is and how fast on this machine, and what everything ran with."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from perpixel.delivery.report.run_folder import OpenRun
from perpixel.inference.examination import ExaminedImage
from perpixel.networks import build, inspection

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class ModelFacts:
    """Size and speed.

    Args:
        parameters: of the network.
        file_bytes: of the model file.
        size: (H, W) of the images that the two next figures are for: the split's most frequent.
        multiply_adds: for one such image; None where the network's arithmetic cannot be followed.
        milliseconds: the median time from a decoded image of that size to mask and confidence.
        timed: how many images that is the median of.
        machine: what computed.
    """

    parameters: int
    file_bytes: int
    size: tuple[int, int]
    multiply_adds: int | None
    milliseconds: float
    timed: int
    machine: str


def model_facts(run: OpenRun, images: Sequence[ExaminedImage]) -> ModelFacts:
    """The facts of a run's model, timed over the images that were examined."""
    (size, _), *_ = Counter(image.size for image in images).most_common(1)
    seconds = [image.seconds for image in images if image.size == size]
    return ModelFacts(
        parameters=sum(parameter.numel() for parameter in run.model.network.parameters()),
        file_bytes=run.file.stat().st_size,
        size=size,
        multiply_adds=_multiply_adds(run, size),
        milliseconds=1000 * float(np.median(seconds)),
        timed=len(seconds),
        machine=machine(run.model.device),
    )


def machine(device: torch.device) -> str:
    """What computes, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def versions(run: OpenRun) -> dict[str, tuple[str, str]]:
    """For each package that matters its version in training ("–": not recorded) and now."""
    return {
        "perpixel": (str(run.checkpoint.provenance.get("perpixel", "–")), version("perpixel")),
        "torch": (str(run.checkpoint.provenance.get("torch", "–")), torch.__version__),
        "Python": ("–", platform.python_version()),
    }


def _multiply_adds(run: OpenRun, size: tuple[int, int]) -> int | None:
    with torch.device("meta"):
        network = build(run.checkpoint.network)
    try:
        seen = inspection.inspect(network, size, bands=run.checkpoint.network.bands)
    except (ValueError, RuntimeError):
        # Not every backbone's operations are known; the page then says "–".
        return None
    return seen.multiply_adds


def _processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
