"""The moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from perpixel.training.averaging import WeightAverage


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_the_average_follows_the_formula_for_weights_and_batch_statistics() -> None:
    network = _network()
    average = WeightAverage(network, 0.9)
    expected = {name: value.clone().double() for name, value in network.state_dict().items()}
    for step in range(1, 6):
        network.train()
        network(torch.randn(2, 3, 8, 8))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value.double()
    for name, value in average.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert int(value) == 5
        else:
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_a_decay_of_zero_follows_exactly() -> None:
    network = _network()
    average = WeightAverage(network, 0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    average.update(1)
    for mine, theirs in zip(network.parameters(), average.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_average_takes_no_gradient_and_stays_in_evaluation() -> None:
    average = WeightAverage(_network(), 0.9)
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
