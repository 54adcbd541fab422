"""The gradient of a batch, however it is taken to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from perpixel.data.loader import Batch
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing
from perpixel.training import TrainConfig, files, precision, train
from perpixel.training.batch_norm import to_training
from perpixel.training.objective import Objective
from perpixel.training.precision import Precision
from perpixel.training.processes import Processes
from perpixel.training.recompute import recompute_sequences
from perpixel.training.state_file import read_state
from perpixel.training.step import Stepper, split

CONFIG = FCNConfig(name="fcn8s", backbone="test_efficientnet", classes=3, head="scores")


@pytest.fixture
def batch(tmp_path: object) -> Batch:
    """Five images, of which the fourth has hardly a label."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, 41, 65), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 3, (5, 41, 65), generator=generator, dtype=torch.uint8)
    masks[3, 1:] = 255
    return Batch(images, masks, tuple(files.Path(f"{number}.png") for number in range(5)))


def stepper(
    change: Callable[[torch.nn.Module], object] = lambda network: None,
    *,
    norms: str = "own",
    precision: Precision = "fp32",
    clip: float | None = None,
    weights: torch.Tensor | None = None,
    reduction: str = "mean",
) -> Stepper:
    torch.manual_seed(0)
    network = build(CONFIG)
    with torch.no_grad():
        for weight in network.parameters():  # some start at zero and let no gradient through
            weight += 0.05 * torch.randn_like(weight)
    change(network)
    to_training(network, norms)
    return Stepper(
        network,
        network,
        torch.optim.SGD([{"params": list(network.parameters()), "rate": 1.0}], lr=0.1),
        Objective(255, weights, reduction=reduction),
        Preprocessing(),
        Processes.start(),
        precision,
        clip,
    )


def gradients(of: Stepper) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in of.own.named_parameters()}
    return {name: value.clone() for name, value in found.items() if value is not None}


@pytest.mark.parametrize("parts", [2, 3, 5, 9])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 7.0, 0.3])])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(
    batch: Batch, parts: int, weights: torch.Tensor | None, reduction: str
) -> None:
    whole, divided = (
        stepper(norms="frozen", weights=weights, reduction=reduction) for _ in range(2)
    )
    first = whole.gradient(batch, 1)
    second = divided.gradient(batch, parts)
    assert first.sound
    assert second.sound
    assert second.loss == pytest.approx(first.loss, rel=1e-5)
    expected, found = gradients(whole), gradients(divided)
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5, 8])
def test_parts_are_as_equal_as_can_be_and_leave_nothing_out(batch: Batch, parts: int) -> None:
    pieces = split(batch, parts)
    assert len(pieces) == min(parts, 5)
    assert torch.equal(torch.cat([piece.images for piece in pieces]), batch.images)
    assert torch.equal(torch.cat([piece.masks for piece in pieces]), batch.masks)
    assert [path for piece in pieces for path in piece.paths] == list(batch.paths)
    sizes = [len(piece.paths) for piece in pieces]
    assert max(sizes) - min(sizes) <= 1


def test_what_is_discarded_leaves_the_network_as_it_was(batch: Batch) -> None:
    of = stepper()
    before = {name: value.clone() for name, value in of.own.state_dict().items()}
    of.gradient(batch, 2)
    of.discard()
    assert all(torch.equal(value, before[name]) for name, value in of.own.state_dict().items())
    assert gradients(of) == {}


def test_frozen_batch_norms_keep_their_statistics_and_learn_their_scale(batch: Batch) -> None:
    of = stepper(norms="frozen")
    before = {name: value.clone() for name, value in of.own.named_buffers()}
    of.gradient(batch, 1)
    assert all(torch.equal(value, before[name]) for name, value in of.own.named_buffers())
    assert gradients(of).keys() == dict(of.own.named_parameters()).keys()


def test_a_gradient_is_clipped_to_its_norm(batch: Batch) -> None:
    of = stepper(clip=1e-3)
    before = [weight.detach().clone() for weight in of.own.parameters()]
    of.gradient(batch, 1)
    of.update(1.0)
    moved = [a.detach() - b for a, b in zip(of.own.parameters(), before, strict=True)]
    assert float(torch.nn.utils.get_total_norm(moved)) == pytest.approx(1e-3, rel=1e-3)


def test_recomputing_changes_no_bit_and_keeps_less(batch: Batch) -> None:
    kept = []
    outcomes = []
    for change in (lambda network: None, recompute_sequences):
        of = stepper(change)
        storages: dict[int, torch.Tensor] = {}

        def keep(
            tensor: torch.Tensor, storages: dict[int, torch.Tensor] = storages
        ) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            of.loss(of.own, batch)
        of.discard() if of._before else None
        kept.append(sum(tensor.untyped_storage().nbytes() for tensor in storages.values()))
        of = stepper(change)
        outcome = of.gradient(batch, 1)
        outcomes.append((outcome, gradients(of), dict(of.own.named_buffers())))
    assert kept[1] < 0.8 * kept[0]
    assert outcomes[0][0] == outcomes[1][0]
    for expected, found in zip(outcomes[0][1:], outcomes[1][1:], strict=True):
        assert expected.keys() == found.keys()
        assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("change", [lambda network: None, recompute_sequences])
def test_a_precision_is_measured_on_a_copy_and_the_network_stays_as_it_is(
    batch: Batch, monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.nn.Module], object]
) -> None:
    monkeypatch.setattr(precision, "_may_multiply_bf16", lambda device: True)
    of = stepper(change)
    before = {name: value.clone() for name, value in of.own.state_dict().items()}
    _, line = precision.measure(of.own, lambda trial: of.loss(trial, batch), torch.device("cpu"))
    assert "measured fp32" in line
    assert all(torch.equal(value, before[name]) for name, value in of.own.state_dict().items())
    assert gradients(of) == {}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_lower_precision_has_nearly_the_same_gradient(batch: Batch, precision: Precision) -> None:
    full, low = stepper(norms="frozen"), stepper(norms="frozen", precision=precision)
    full.gradient(batch, 1)
    assert low.gradient(batch, 1).sound
    expected = torch.cat([value.flatten() for value in gradients(full).values()])
    found = torch.cat([value.flatten() for value in gradients(low).values()])
    assert float(torch.cosine_similarity(expected, found, 0)) > 0.98
    assert float(found.norm()) == pytest.approx(float(expected.norm()), rel=0.1)


def test_a_gradient_too_large_for_fp16_is_left_out_and_the_scale_goes_down(batch: Batch) -> None:
    of = stepper(precision="fp16")
    of.gradient(batch, 1)
    scale = of.scaler.get_scale()
    next(of.own.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr]
    of.scaler._per_optimizer_states.clear()
    of.scaler.unscale_(of.optimizer)
    before = [weight.detach().clone() for weight in of.own.parameters()]
    of.update(0.1)
    assert of.scaler.get_scale() == scale / 2
    assert all(torch.equal(a, b) for a, b in zip(of.own.parameters(), before, strict=True))


def test_a_run_in_fp16_keeps_its_scale_in_its_state(quick: TrainConfig) -> None:
    train(quick.model_copy(update={"precision": "fp16", "clip": 1.0}))
    facts = read_state(quick.out).facts
    assert facts["precision"] == "fp16"
    assert facts["scaler"]["scale"] > 1
    assert files.read_metrics(quick.out)[-1]["loss"] > 0


def test_a_compiled_network_trains_the_same_weights(
    quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    class Compiled(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network
            compiled.append(network)

        def forward(self, images: torch.Tensor) -> object:
            return self.network(images)

    train(quick)
    monkeypatch.setattr(torch, "compile", Compiled)
    out = quick.out.with_name("compiled")
    train(quick.model_copy(update={"compile": True, "out": out}))
    assert len(compiled) == 1
    first, second = (read_state(folder).tensors for folder in (quick.out, out))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
