"""The memory of a training step, counted without having it."""

from __future__ import annotations

import torch

from perpixel.networks import FCNConfig, build
from perpixel.training.footprint import COPIES_OF_WEIGHTS, TRANSIENT, step_bytes

CONFIG = FCNConfig(name="fcn8s", backbone="test_efficientnet", classes=3, head_channels=8)


def test_what_is_counted_is_what_a_real_forward_pass_keeps() -> None:
    network = build(CONFIG).train()
    storages: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = network(torch.randn(3, 3, 96, 160)).scores
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    real = sum(t.untyped_storage().nbytes() for at, t in storages.items() if at not in own)
    weights = sum(weight.numel() * 4 for weight in network.parameters())
    counted = step_bytes(CONFIG, (96, 160), 3)
    assert scores.requires_grad
    expected = TRANSIENT * real + COPIES_OF_WEIGHTS * weights
    assert abs(counted - expected) < 0.05 * expected


def test_it_grows_with_the_batch_and_the_size() -> None:
    one, two = (step_bytes(CONFIG, (256, 256), batch) for batch in (4, 8))
    larger = step_bytes(CONFIG, (512, 512), 4)
    assert 1.5 * one < two < 2 * one
    assert 2.5 * one < larger < 4 * one
