"""Which runtime and precision compute a model: the fastest of several candidates, measured once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32

from perpixel.errors import ConfigError
from perpixel.inference.remembered import Seconds, remembered
from perpixel.inference.runtimes.runtime import Precision, Runtime, RuntimeName
from perpixel.score_map import ScoreMap

SIZE = 512  # pixels of the image that candidates are measured with, either way
BUDGET = 0.25  # seconds for each, and one image at least
HOPELESS = 3.0  # first images that take so many times as long as the fastest are enough


@dataclass(frozen=True)
class Choice:
    """What computes a model, and why.

    Args:
        runtime: what computes.
        precision: in which numbers.
        reason: why these, in words.
    """

    runtime: RuntimeName
    precision: Precision
    reason: str

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision} ({self.reason})"


@dataclass(frozen=True)
class Candidate:
    """A way to compute a model.

    Args:
        runtime, precision: what it is called.
        make: makes it ready; a ConfigError says that it cannot compute this model.
    """

    runtime: RuntimeName
    precision: Precision
    make: Callable[[], Runtime]

    @property
    def title(self) -> str:
        """Both names."""
        return f"{self.runtime} {self.precision}"


class AutoRuntime:
    """The fastest of several runtimes, found when it is first asked for anything.

    Args:
        candidates: those that are likely to be fastest first; at least one.
        reason: why there is only one, where there is.
        about: what the measurement depends on.
        bands: of the network's images.
        device: where they lie.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        reason: str,
        about: Mapping[str, str],
        bands: int,
        device: torch.device,
    ) -> None:
        self._candidates = candidates
        self._reason = reason
        self._about = about
        self._bands = bands
        self._device = device
        self._chosen: tuple[Runtime, Choice] | None = None
        self._made: dict[str, Runtime] = {}
        self._within: dict[RuntimeName, AutoRuntime] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> RuntimeName:
        """What computes."""
        return self.choice.runtime

    @property
    def precision(self) -> Precision:
        """In which numbers."""
        return self.choice.precision

    @property
    def choice(self) -> Choice:
        """What was chosen, and why.

        Raises:
            ConfigError: no candidate can compute the model.
        """
        return self._choose()[1]

    def within(self, runtime: RuntimeName) -> AutoRuntime | None:
        """The same choice among the candidates of one runtime; None where there is none."""
        own = [candidate for candidate in self._candidates if candidate.runtime == runtime]
        if len(own) in (0, len(self._candidates)):
            return self if own else None
        if runtime not in self._within:
            self._within[runtime] = AutoRuntime(
                own,
                reason=f"of those that were left open, {runtime} can be given parts of an image",
                about={**self._about, "candidates": ", ".join(one.title for one in own)},
                bands=self._bands,
                device=self._device,
            )
        return self._within[runtime]

    def scores(self, batch: Float32[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score normalised images of one size."""
        return self._choose()[0].scores(batch)

    def _choose(self) -> tuple[Runtime, Choice]:
        with self._lock:
            if self._chosen is None:
                only = self._candidates[0]
                if len(self._candidates) > 1:
                    self._chosen = self._fastest(remembered(self._about, self._measure))
                else:
                    choice = Choice(only.runtime, only.precision, self._reason)
                    self._chosen = only.make(), choice
            return self._chosen

    def _fastest(self, seconds: Seconds) -> tuple[Runtime, Choice]:
        """The fastest that can be made, and the choice of it."""
        times = {one.title: seconds.get(one.title) for one in self._candidates}
        ranked = sorted(self._candidates, key=lambda one: times[one.title] or math.inf)
        for candidate in ranked:
            try:
                runtime = self._made.pop(candidate.title, None) or candidate.make()
            except ConfigError:
                # The times are the network's: with other weights a conversion can fail.
                times[candidate.title] = None
                if candidate is ranked[-1]:
                    raise
            else:
                break
        self._made.clear()
        reason = told(times, self._device)
        return runtime, Choice(candidate.runtime, candidate.precision, reason)

    def _measure(self) -> Seconds:
        """Seconds for each candidate; the fastest so far is kept for use.

        Raises:
            ConfigError: none can be made; so that this is not remembered for other models.
        """
        # Own random numbers: the caller's go on as they would have.
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(1, self._bands, SIZE, SIZE, generator=generator).to(self._device)
        seconds: Seconds = {}
        for candidate in self._candidates:
            fastest = min((time for time in seconds.values() if time is not None), default=None)
            try:
                runtime = candidate.make()
            except ConfigError:
                seconds[candidate.title] = None
                if len(seconds) == len(self._candidates) and fastest is None:
                    raise
                continue
            took = timed(runtime, images, fastest)
            seconds[candidate.title] = took
            if fastest is None or took < fastest:
                self._made = {candidate.title: runtime}
        return seconds


def timed(runtime: Runtime, images: torch.Tensor, fastest: float | None = None) -> float:
    """Seconds for one batch of images: the least of as many runs as the budget allows.

    Args:
        fastest: another's seconds; one that is far from them is not run again.
    """
    runtime.scores(images[:, :, :64, :64])  # whatever is made at the first call
    took = _seconds(runtime, images)
    if fastest is not None and took > HOPELESS * fastest:
        return took
    end = time.perf_counter() + BUDGET
    while True:
        took = min(took, _seconds(runtime, images))
        if time.perf_counter() > end:
            return took


def _seconds(runtime: Runtime, images: torch.Tensor) -> float:
    start = time.perf_counter()
    runtime.scores(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start


def told(seconds: Seconds, device: torch.device) -> str:
    """A measurement in words, the fastest first."""
    ran = sorted((time, title) for title, time in seconds.items() if time is not None)
    times = ", ".join(f"{title} {time * 1000:.0f} ms" for time, title in ran)
    failed = "".join(f"; {title} cannot" for title, time in seconds.items() if time is None)
    return f"the fastest measured on this {device.type.upper()} at {SIZE}×{SIZE}: {times}{failed}"
