"""Small networks with lively weights, and an image of odd size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing

MakeModel = Callable[..., Model]
LABELS = LabelSpace.of(("sky", "$sea$", "sand", "a boat with quite a long name"))


def lively(network: nn.Module) -> nn.Module:
    """Weights that let every layer say something: paper networks start with scores of zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                if module.weight.requires_grad:
                    module.weight += 0.05 * torch.randn(module.weight.shape)
                if module.bias is not None:
                    module.bias += 0.05 * torch.randn(module.bias.shape)
            elif isinstance(module, nn.BatchNorm2d):
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 1.5)
                module.bias += 0.1 * torch.randn(module.bias.shape)
    return network.eval()


@pytest.fixture(scope="session")
def make() -> MakeModel:
    """`make(name="fcn8s", head="scores")` is a model of that network."""

    def made(**options: object) -> Model:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        values: dict[str, object] = {"name": "fcn8s", "classes": LABELS.classes}
        name = str(options.get("name", "fcn8s"))
        if name in ("fcn32s", "fcn16s", "fcn8s", "fcn4s"):
            values |= {"backbone": "test_resnet", "head_channels": 8}
        network = lively(build(network_config(values | options)))
        return Model(network, LABELS, Preprocessing(), torch.device("cpu"))

    return made


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth shapes and noise, uint8 (H, W, 3)."""
    rng = np.random.default_rng(3)
    rough = rng.integers(0, 256, (4, 5, 3)).repeat(21, axis=0).repeat(23, axis=1)[:71, :103]
    return (rough + rng.integers(-20, 21, rough.shape)).clip(0, 255).astype(np.uint8)
