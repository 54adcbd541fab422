"""Losses and gradients that are no number: the run stops, or leaves the batch out."""

from __future__ import annotations

import pytest
import torch

from perpixel.data.loader import Batch
from perpixel.errors import TrainingError
from perpixel.training import TrainConfig, files, loop, resume, train
from perpixel.training.state_file import read_state
from perpixel.training.step import Stepper
from training.conftest import outcome
from training.stopping import StopAt, beside


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, *, gradient: bool) -> None:
    """Let the loss, or only the gradient, of every batch with this file be NaN."""
    loss = Stepper.loss

    def spoilt(self: Stepper, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        value = loss(self, network, batch)
        if name not in [path.name for path in batch.paths]:
            return value
        if gradient:
            value.register_hook(lambda grad: grad * torch.nan)
            return value
        return value * torch.nan

    monkeypatch.setattr(Stepper, "loss", spoilt)


@pytest.mark.parametrize("gradient", [False, True])
def test_a_loss_that_is_no_number_stops_the_run_names_the_files_and_keeps_the_last_state(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch, gradient: bool
) -> None:
    train(quick)
    bad = beside(quick, "bad", save_minutes=0)
    spoil(monkeypatch, "2.png", gradient=gradient)
    with pytest.raises(TrainingError, match=r"no number in step \d, on .*2\.png") as caught:
        train(bad)
    assert "--on-nan skip" in str(caught.value)
    state = read_state(bad.out)
    assert all(bool(torch.isfinite(value).all()) for value in state.tensors.values())
    monkeypatch.undo()
    resume(bad.out)
    assert outcome(bad.out) == outcome(quick.out)


def test_batches_without_a_number_are_skipped_and_counted(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "2.png", gradient=False)
    said = StopAt()
    train(quick.model_copy(update={"on_nan": "skip"}), said)
    assert [entry["skipped"] for entry in files.read_metrics(quick.out)] == [1, 2]
    assert sum("left out" in line and "2.png" in line for line in said.lines) == 2
    tensors = read_state(quick.out).tensors
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())
    # A skipped batch leaves nothing behind, not even in the batch norms.
    counters = [value for name, value in tensors.items() if name.endswith("batches_tracked")]
    assert {int(value) for value in counters} == {2}


def test_a_run_that_skips_everything_stops(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MOST_SKIPPED", 2)
    spoil(monkeypatch, "2.png", gradient=False)
    spoil(monkeypatch, "1.png", gradient=False)
    spoil(monkeypatch, "0.png", gradient=False)
    with pytest.raises(TrainingError, match="step 3"):
        train(quick.model_copy(update={"on_nan": "skip"}))
