"""The fastest candidate is taken, once measured, and the choice says why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from perpixel.errors import ConfigError
from perpixel.inference.runtimes import choice
from perpixel.inference.runtimes.choice import AutoRuntime, Candidate, Choice
from perpixel.inference.runtimes.runtime import Precision, Runtime, RuntimeName
from perpixel.score_map import ScoreMap

CPU = torch.device("cpu")


class Stub:
    """A runtime that takes a stated time by the test's own clock."""

    def __init__(self, name: RuntimeName, precision: Precision, seconds: float) -> None:
        self.name, self.precision, self.seconds = name, precision, seconds
        self.runs = 0

    def scores(self, batch: torch.Tensor) -> ScoreMap:
        self.runs += 1
        Clock.now += self.seconds
        return ScoreMap.of(batch, (batch.shape[2], batch.shape[3]))


class Clock:
    now = 0.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.time, "perf_counter", lambda: Clock.now)


class Bench:
    """Candidates that take these seconds; None: they cannot compute the model."""

    def __init__(self, **seconds: float | None) -> None:
        self.made: list[str] = []
        self.stubs: dict[str, Stub] = {}
        self.seconds = seconds

    def make(self, title: str) -> Runtime:
        self.made.append(title)
        seconds = self.seconds[title]
        if seconds is None:
            raise ConfigError("openvino", found="it cannot", mend="Use torch")
        name, precision = title.split("_")
        self.stubs[title] = Stub(name, precision, seconds)  # type: ignore[arg-type]
        return self.stubs[title]

    def candidates(self) -> Sequence[Candidate]:
        return [
            Candidate(*title.split("_"), lambda title=title: self.make(title))  # type: ignore[arg-type, misc]
            for title in self.seconds
        ]

    def runtime(self, reason: str = "the only one", **about: str) -> AutoRuntime:
        return AutoRuntime(self.candidates(), reason=reason, about=about, bands=3, device=CPU)


def test_the_fastest_is_taken_and_told_of(cache: Path) -> None:
    bench = Bench(openvino_bf16=0.25, torch_bf16=0.125, torch_fp32=0.25)
    runtime = bench.runtime()
    before = torch.random.get_rng_state()
    assert bench.made == []  # until something is asked
    assert (runtime.name, runtime.precision) == ("torch", "bf16")
    assert isinstance(runtime, Runtime)
    reason = str(runtime.choice)
    assert "torch bf16 (the fastest measured on this CPU at 512×512" in reason
    assert "torch bf16 125 ms, openvino bf16 250 ms, torch fp32 250 ms" in reason
    runs = bench.stubs["torch_bf16"].runs
    runtime.scores(torch.zeros(1, 3, 5, 5))
    assert bench.stubs["torch_bf16"].runs == runs + 1
    assert bench.made == ["openvino_bf16", "torch_bf16", "torch_fp32"]
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_choice_can_be_narrowed_to_one_runtime(cache: Path) -> None:
    seconds = {"openvino_bf16": 0.1, "torch_bf16": 0.5, "torch_fp32": 0.25}
    bench = Bench(**seconds)
    runtime = bench.runtime(candidates="all")
    narrowed = runtime.within("torch")
    assert narrowed is not None
    assert (narrowed.name, narrowed.precision) == ("torch", "fp32")
    assert bench.made == ["torch_bf16", "torch_fp32"]
    assert runtime.name == "openvino"
    assert runtime.within("onnxruntime") is None
    assert narrowed.within("torch") is narrowed


def test_the_next_time_only_the_fastest_is_made(cache: Path) -> None:
    seconds = {"openvino_bf16": 0.25, "torch_bf16": 0.5, "torch_fp32": 1.0}
    first = Bench(**seconds).runtime().choice
    bench = Bench(**seconds)
    assert bench.runtime().choice == first
    assert bench.made == ["openvino_bf16"]
    other = Bench(**seconds)
    _ = other.runtime(network="another").choice
    assert len(other.made) == 3


def test_one_that_cannot_is_left_out_and_named(cache: Path) -> None:
    for _ in range(2):
        bench = Bench(openvino_bf16=None, torch_bf16=0.5, torch_fp32=1.0)
        runtime = bench.runtime()
        assert runtime.name == "torch"
        assert runtime.choice.reason.endswith("; openvino bf16 cannot")


def test_one_that_is_far_behind_is_not_run_again(cache: Path) -> None:
    bench = Bench(torch_bf16=0.125, torch_fp32=20.0)
    _ = bench.runtime().choice
    assert bench.stubs["torch_fp32"].runs == 2  # a small image and one of 512×512
    assert bench.stubs["torch_bf16"].runs == 5


def test_a_slow_one_is_run_twice(cache: Path) -> None:
    bench = Bench(torch_bf16=20.0, torch_fp32=30.0)
    _ = bench.runtime().choice
    assert bench.stubs["torch_bf16"].runs == bench.stubs["torch_fp32"].runs == 3


def test_a_single_candidate_is_not_measured(cache: Path) -> None:
    bench = Bench(torch_fp32=1.0)
    runtime = bench.runtime("asked for")
    assert runtime.choice == Choice("torch", "fp32", "asked for")
    assert bench.stubs["torch_fp32"].runs == 0
    assert not list(cache.rglob("*"))


def test_a_single_candidate_that_cannot_is_an_error(cache: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot"):
        _ = Bench(openvino_fp32=None).runtime().choice


def test_where_none_can_the_error_says_why_each_time(cache: Path) -> None:
    for _ in range(2):
        bench = Bench(openvino_bf16=None, openvino_fp32=None)
        with pytest.raises(ConfigError, match="it cannot"):
            _ = bench.runtime().choice
        assert bench.made == ["openvino_bf16", "openvino_fp32"]
    # Another model of the same network can.
    assert Bench(openvino_bf16=0.5, openvino_fp32=1.0).runtime().choice.precision == "bf16"


def test_a_model_that_the_networks_fastest_cannot_compute_takes_the_next(cache: Path) -> None:
    _ = Bench(openvino_bf16=0.125, openvino_fp32=0.25, torch_fp32=0.5).runtime().choice
    bench = Bench(openvino_bf16=None, openvino_fp32=None, torch_fp32=0.5)
    assert str(bench.runtime().choice) == (
        "torch fp32 (the fastest measured on this CPU at 512×512: torch fp32 500 ms; "
        "openvino bf16 cannot; openvino fp32 cannot)"
    )
    assert bench.made == ["openvino_bf16", "openvino_fp32", "torch_fp32"]
    with pytest.raises(ConfigError, match="it cannot"):
        _ = Bench(openvino_bf16=None, openvino_fp32=None, torch_fp32=None).runtime().choice
