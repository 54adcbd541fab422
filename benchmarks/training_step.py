"""A whole training step, with the fused loss and with the naive one.

    python benchmarks/training_step.py

The same network, batch and optimiser twice: upsampled logits and `F.cross_entropy`, or
`perpixel.kernels.cross_entropy` on the coarse ones. Light FCN (efficientnet_lite0),
segmentation-models-pytorch's FPN with the same encoder, and transformers' SegFormer-B0 (left out
where transformers is not installed), all with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from measure import interleaved, memory_in_a_process_of_its_own, peak_memory, report

from perpixel import kernels
from perpixel.networks import FCNConfig, build
from perpixel.score_map import ScoreMap

CLASSES, BATCH, SIZE, IGNORED = 150, 4, (360, 480), 255
COLUMNS = ("network", "fused s", "naive s", "naive / fused", "fused MiB", "naive MiB", "saved")


class SmpFpn(torch.nn.Module):
    """segmentation-models-pytorch's FPN without its last upsampling."""

    def __init__(self) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        self.fpn = smp.FPN("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES)
        self.fpn.segmentation_head[1] = torch.nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Quarter-size logits."""
        return self.fpn(images)


class SegFormer(torch.nn.Module):
    """transformers' SegFormer-B0."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        self.net = SegformerForSemanticSegmentation(SegformerConfig(num_labels=CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Quarter-size logits."""
        return self.net(images).logits


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "fcn8s": lambda: build(FCNConfig(name="fcn8s", classes=CLASSES)),
    "fcn4s": lambda: build(FCNConfig(name="fcn4s", classes=CLASSES)),
    "smp-fpn": SmpFpn,
    "segformer-b0": SegFormer,
}


def steps(
    name: str, device: str, batch: int = BATCH, size: tuple[int, int] = SIZE
) -> dict[str, Callable[[], None]]:
    """One step of training, with either loss."""
    torch.manual_seed(0)
    network = NETWORKS[name]().to(device).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
    # The sides that SMP accepts are multiples of 32; labels are for the true size.
    padded = tuple(-(-side // 32) * 32 for side in size)
    pad = (0, padded[1] - size[1], 0, padded[0] - size[0])
    images = F.pad(torch.randn(batch, 3, *size), pad if name == "smp-fpn" else (0, 0)).to(device)
    mask = torch.randint(0, CLASSES, (batch, 1, 12, 16)).float()
    mask = F.interpolate(mask, size)[:, 0].to(torch.uint8).to(device)
    wide = mask.long()

    def score_map() -> ScoreMap:
        result = network(images)
        if isinstance(result, ScoreMap):
            return result
        if name == "smp-fpn":
            return ScoreMap.of(result, size, stride=4)
        return ScoreMap.of(result, size)

    def fused() -> torch.Tensor:
        return kernels.cross_entropy(score_map(), mask, ignore_index=IGNORED)

    def naive() -> torch.Tensor:
        found = score_map()
        full = tuple(
            round(s * n) for s, n in zip(found.stride, found.scores.shape[2:], strict=True)
        )
        logits = F.interpolate(found.scores, full, mode="bilinear")[..., : size[0], : size[1]]
        return F.cross_entropy(logits, wide, ignore_index=IGNORED)

    def step(loss: Callable[[], torch.Tensor]) -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return {"fused": lambda: step(fused), "naive": lambda: step(naive)}


def row(name: str, options: argparse.Namespace) -> dict[str, object]:
    """One line of the table."""
    times = interleaved(steps(name, options.device), options.rounds)
    found = {
        loss: memory_in_a_process_of_its_own(__file__, name, loss, options.device) for loss in times
    }
    memory = {loss: None if most is None else most / 2**20 for loss, most in found.items()}
    saved = None
    if memory["fused"] is not None and memory["naive"] is not None:
        saved = f"{1 - memory['fused'] / memory['naive']:.0%}"
    return {
        "network": name,
        "fused s": times["fused"],
        "naive s": times["naive"],
        "naive / fused": times["naive"] / times["fused"],
        "fused MiB": memory["fused"],
        "naive MiB": memory["naive"],
        "saved": saved,
    }


def main() -> None:
    """Measure, or in a process of its own find one step's memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all without any")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", nargs=3, metavar=("NETWORK", "LOSS", "DEVICE"))
    options = parser.parse_args()
    if options.memory:
        name, loss, device = options.memory
        small = steps(name, device, batch=2, size=(64, 64))[loss]
        print(peak_memory(small, steps(name, device)[loss]))
        return
    chosen = options.networks or [
        name for name in NETWORKS if name != "segformer-b0" or find_spec("transformers")
    ]
    rows = [row(name, options) for name in chosen]
    report(f"training-step-{options.device}", rows, COLUMNS)


if __name__ == "__main__":
    main()
