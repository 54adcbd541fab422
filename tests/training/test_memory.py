"""Steps that do not fit into memory: the batch is divided, or the run refused."""

from __future__ import annotations

import pytest
import torch

from perpixel.data.loader import Batch
from perpixel.errors import TrainingError
from perpixel.training import TrainConfig, footprint, precision, train
from perpixel.training.state_file import read_state
from perpixel.training.step import Stepper, is_out_of_memory
from training.conftest import outcome
from training.stopping import StopAt, beside


def short_of_memory(monkeypatch: pytest.MonkeyPatch, images: int, error: Exception) -> None:
    """Let a forward pass fail that sees more images than these."""
    loss = Stepper.loss

    def limited(self: Stepper, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        value = loss(self, network, batch)
        if len(batch.paths) > images:
            raise error
        return value

    monkeypatch.setattr(Stepper, "loss", limited)


def test_out_of_memory_halves_the_batch_repeats_the_step_and_says_so(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = quick.model_copy(update={"batch_size": 4})
    train(quick.model_copy(update={"accumulate": 4}))
    short = beside(quick, "short")
    short_of_memory(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory"))
    said = StopAt()
    train(short, said)
    told = [line for line in said.lines if line.startswith("out of memory in step 1")]
    assert [line.split(" in ")[-1].split(" parts")[0] for line in told] == ["2", "4"]
    # As if the batch had been taken in four parts from the start: the failed tries left nothing.
    assert outcome(short.out) == outcome(quick.out)
    assert read_state(short.out).facts["parts"] == 4


def test_memory_that_fails_the_first_fp16_step_of_all_divides_the_batch(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = quick.model_copy(update={"precision": "fp16"})
    train(quick.model_copy(update={"accumulate": 2}))
    short = beside(quick, "short")
    short_of_memory(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory"))
    train(short)
    assert read_state(short.out).facts["parts"] == 2
    assert outcome(short.out) == outcome(quick.out)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_precision_is_measured_with_what_a_step_holds_at_once(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    monkeypatch.setattr(precision, "_may_multiply_bf16", lambda device: True)
    short_of_memory(monkeypatch, 2, torch.OutOfMemoryError("CUDA out of memory"))
    said = StopAt()
    settings = {"batch_size": 4, "accumulate": accumulate, "precision": "auto", "epochs": 1}
    train(quick.model_copy(update=settings), said)
    divided = [line for line in said.lines if line.startswith("out of memory in step 1")]
    assert len(divided) == 2 - accumulate
    assert any("measured fp32" in line for line in said.lines)
    assert read_state(quick.out).facts["parts"] == 2
    short_of_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match="out of memory in step 1, with the batch of 4 in 4"):
        train(beside(quick, "none", **settings))


def test_an_image_that_does_not_fit_is_an_error_of_one_line(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match="out of memory in step 1, with the batch of 2 in 2"):
        train(quick)


def test_memory_errors_of_a_cpu_are_known_and_others_are_not_taken_for_them(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    short_of_memory(monkeypatch, 1, RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        train(quick)


def test_a_step_that_would_not_fit_into_memory_is_refused_before_the_run_begins(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = quick.network_config(2, 3)
    one, two = (footprint.step_bytes(network, (32, 64), images) for images in (1, 2))
    monkeypatch.setattr(footprint, "available_memory", lambda: (one + two) // 2)
    with pytest.raises(TrainingError, match=r"GiB that are free. Give --accumulate 2"):
        train(quick)
    assert not quick.out.exists()
    train(quick.model_copy(update={"accumulate": 2}))
    monkeypatch.setattr(footprint, "available_memory", lambda: one // 2)
    with pytest.raises(TrainingError, match="Give a smaller --crop"):
        train(beside(quick, "none"))
