"""A network and its fused loss as one compiled graph."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STEP = """
import sys
import torch
from torch import nn
from perpixel import ScoreMap, kernels
from perpixel.networks import build, network_config

class Small(nn.Sequential):
    def forward(self, images):
        return ScoreMap.of(super().forward(images), images.shape[2:])

torch.manual_seed(0)
if sys.argv[1] == "small":
    network = Small(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1))
else:
    network = build(network_config(
        {"name": "fcn16s", "backbone": "test_resnet", "classes": 5, "head": "scores"}
    ))
network.train()
with torch.no_grad():
    for weight in network.parameters():  # some start at zero and let no gradient through
        weight += 0.05 * torch.randn_like(weight)
images, mask = torch.randn(2, 3, 37, 65), torch.randint(0, 5, (2, 37, 65)).to(torch.uint8)

def loss_of(images, mask):
    return kernels.cross_entropy(network(images), mask, ignore_index=255)

initial = {name: value.clone() for name, value in network.state_dict().items()}
results = []
for step in (loss_of, torch.compile(loss_of, fullgraph=True, backend=sys.argv[2])):
    network.load_state_dict(initial)
    network.zero_grad()
    loss = step(images, mask)
    loss.backward()
    results.append((
        loss.detach(),
        {name: weight.grad for name, weight in network.named_parameters()},
        {name: value.clone() for name, value in network.named_buffers()},
    ))
assert all(bool(gradient.any()) for gradient in results[0][1].values())
torch.testing.assert_close(results[1], results[0], rtol=1e-3, atol=1e-5)
"""


@pytest.mark.parametrize(("network", "backend"), [("small", "inductor"), ("fcn16s", "aot_eager")])
def test_a_compiled_training_step_equals_the_eager_one(
    network: str, backend: str, tmp_path: Path
) -> None:
    # Code is generated for the small network only: for the other it takes a minute and more.
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("torch generates C++ here, and there is no compiler")
    # A process of its own: here, under test, the type checks of jaxtyping would break the graph.
    subprocess.run(
        [sys.executable, "-c", STEP, network, backend],
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
        check=True,
        timeout=1800,
    )
