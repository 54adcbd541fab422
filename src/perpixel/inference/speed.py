"""How fast each runtime and precision computes a model on this machine, and how true it stays."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Integer, Shaped

from perpixel.data.decode import read_image
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model, load, pick_device
from perpixel.inference.runtimes.choice import Choice
from perpixel.inference.runtimes.exported import read_export
from perpixel.inference.runtimes.runtime import Precision, RuntimeName
from perpixel.inference.runtimes.selection import EXPORTS, OFFERED, ON_GPU
from perpixel.machine import forget_peak_memory, peak_memory

Mask = Integer[np.ndarray, "_ _"]
Result = TypeVar("Result")
SECONDS = 3.0
# Of drawn images: pixels from one random colour to the next, and the grain over them.
_SMOOTH, _GRAIN = 24, 12


@dataclass(frozen=True)
class Candidate:
    """A way to compute a model.

    Args:
        model: the file: a model, or an export of it.
        runtime: what computes it.
        precision: in which numbers.
    """

    model: Path
    runtime: RuntimeName
    precision: Precision


@dataclass(frozen=True)
class Images:
    """What is predicted: files, or where there are none one drawn image of (H, W) pixels."""

    files: tuple[Path, ...] = ()
    size: tuple[int, int] = (512, 512)

    def read(self, bands: int) -> list[Shaped[np.ndarray, "bands _ _"]]:
        """The images; drawn ones have so many bands.

        Raises:
            DataError: a file cannot be decoded.
        """
        return [read_image(file) for file in self.files] or [drawn_image(self.size, bands)]


@dataclass(frozen=True, eq=False)
class Timing:
    """What a candidate needs, each image by itself, from its 8-bit (or other) pixels to its mask.

    Args:
        milliseconds: the median.
        images_per_second: of all runs together.
        peak_bytes: the most memory that the process held while it predicted, everything in it
            counted; on a GPU the most of that card's. None where the system does not tell.
        masks: of the images.
    """

    milliseconds: float
    images_per_second: float
    peak_bytes: int | None
    masks: list[Mask]


@dataclass(frozen=True, eq=False)
class Measured:
    """A candidate, and what became of it.

    Args:
        candidate: what was tried.
        timing: None where it cannot compute the model.
        agreement: the share of pixels, 0 … 1, with the class that the first candidate gives them.
        failure: why there is no timing.
    """

    candidate: Candidate
    timing: Timing | None
    agreement: float = float("nan")
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Speed:
    """All candidates, the one that agreement is told from first.

    Args:
        measured: one by one.
        auto: what `load` chooses by itself for the first model, and why.
        threads: how many compute.
        missing: runtimes that could compute the first model if they were installed.
    """

    measured: tuple[Measured, ...]
    auto: Choice
    threads: int
    missing: tuple[RuntimeName, ...]


def candidates(models: Sequence[Path]) -> list[Candidate]:
    """Every installed runtime and precision for each file, torch in fp32 first for a model.

    Raises:
        ModelError: an export cannot be read.
        ConfigError: its runtime is not installed.
    """
    return [
        Candidate(model, runtime, precision)
        for model in models
        for runtime in _runtimes(model)
        if model.suffix.lower() in EXPORTS or find_spec(runtime) is not None
        for precision in _precisions(model, runtime)
    ]


def _runtimes(model: Path) -> list[RuntimeName]:
    """Those that can compute the file here, installed or not, torch first."""
    own = EXPORTS.get(model.suffix.lower())
    if own is not None:
        return [own]
    if pick_device().type == "cuda":
        return ["torch"]
    return sorted(OFFERED, key=lambda name: name != "torch")


def _precisions(model: Path, runtime: RuntimeName) -> list[Precision]:
    if model.suffix.lower() in EXPORTS:
        stored = read_export(model).card.precision
        if stored != "fp32":
            return [stored]
    elif pick_device().type == "cuda":
        return sorted(ON_GPU, key=lambda kind: kind != "fp32")
    return sorted(OFFERED[runtime], key=lambda kind: kind != "fp32")


def compare_speed(
    models: Sequence[Path],
    images: Images,
    *,
    seconds: float = SECONDS,
    watch: Callable[[Candidate, int, int], None] | None = None,
) -> Speed:
    """Measure every candidate, each in a process of its own, so that memory is its own too.

    Args:
        models: a model, and any exports of it.
        images: what is predicted.
        seconds: for each candidate, once it is warm; every image is predicted once at least.
        watch: called with each candidate, how many were done before it, and how many there are.

    Raises:
        DataError: an image cannot be decoded.
        ModelError: a file cannot be used, or an image has other bands than the model takes.
        ConfigError: the first candidate cannot compute the model.
    """
    tried = candidates(models)
    measured: list[Measured] = []
    for done, candidate in enumerate(tried):
        if watch is not None:
            watch(candidate, done, len(tried))
        try:
            timing = in_own_process(measure, candidate, images, seconds)
        except ConfigError as error:
            if not measured:
                raise
            measured.append(Measured(candidate, None, failure=str(error)))
            continue
        first = measured[0].timing if measured else timing
        assert first is not None
        measured.append(Measured(candidate, timing, agreement(timing.masks, first.masks)))
    auto, threads = in_own_process(chosen, models[0])
    missing = tuple(name for name in _runtimes(models[0]) if find_spec(name) is None)
    return Speed(tuple(measured), auto, threads, missing)


def measure(candidate: Candidate, images: Images, seconds: float) -> Timing:
    """Time one candidate in this process.

    Raises:
        ConfigError: it cannot compute the model.
        DataError, ModelError: as `compare_speed`.
    """
    model = load(candidate.model, runtime=candidate.runtime, precision=candidate.precision)
    pixels = images.read(model.preprocessing.bands)
    # Warm for every size of image.
    masks = [_mask(model, image) for image in pixels]
    gc.collect()
    on_gpu = model.device.type == "cuda"
    tells_memory = on_gpu or forget_peak_memory()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(model.device)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        for image in pixels:
            start = time.perf_counter()
            _mask(model, image)
            times.append(time.perf_counter() - start)
    peak = None
    if tells_memory:
        peak = torch.cuda.max_memory_allocated(model.device) if on_gpu else peak_memory()
    return Timing(statistics.median(times) * 1e3, len(times) / sum(times), peak, masks)


def chosen(model: Path) -> tuple[Choice, int]:
    """What `load` chooses by itself, and how many threads compute."""
    return load(model).choice, torch.get_num_threads()


def agreement(masks: Sequence[Mask], others: Sequence[Mask]) -> float:
    """The share of equal pixels, 0 … 1, over all masks together."""
    equal = sum(int((one == other).sum()) for one, other in zip(masks, others, strict=True))
    return equal / sum(mask.size for mask in masks)


def drawn_image(size: tuple[int, int], bands: int) -> Shaped[np.ndarray, "bands H W"]:
    """Soft colours with some grain, always the same ones."""
    generator = np.random.default_rng(0)
    height, width = size
    drawn = []
    for _ in range(bands):
        coarse = generator.uniform(0, 255, (height // _SMOOTH + 2, width // _SMOOTH + 2))
        soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        drawn.append(soft + generator.normal(0, _GRAIN, (height, width)))
    return np.stack(drawn).clip(0, 255).astype(np.uint8)


def in_own_process(work: Callable[..., Result], *arguments: object) -> Result:
    """Do work in a fresh process; what it raises is raised here.

    Raises:
        ConfigError: the process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool:
            raise ConfigError(
                " ".join(map(str, arguments[:1])),
                found="its process was ended from outside, as systems do for want of memory",
                mend="Give smaller images, or let less run beside it",
            ) from None


def _mask(model: Model, image: Shaped[np.ndarray, "bands H W"]) -> Mask:
    return model.class_mask(image, model.views([image], names=["image"])).mask
