"""The fused operations against torch and the peers, in one run: `python benchmarks/kernels.py`.

For each operation: the median of interleaved warm runs; as ratios to perpixel's time, torch eager
as users run it (contiguous), the faster of torch's contiguous and channels_last layouts,
torch.compile, and the peer; and the peak memory beyond the inputs, each in a process of its own.

Scores are noise, the worst case for the exact pruning of the mask, or noise smoothed over 9 cells.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from measure import interleaved, memory_in_a_process_of_its_own, peak_memory, report

from perpixel import kernels
from perpixel.score_map import ScoreMap

IGNORED = 255
LAST = torch.channels_last
COLUMNS = (
    "operation", "perpixel ms", "eager", "faster layout", "compiled", "peer", "peer is",
    "extra MiB", "eager MiB", "compiled MiB",
)  # fmt: skip


class Case(NamedTuple):
    """One operation at one size."""

    operation: str  # "argmax", "winner", "loss" or "counts"
    classes: int
    images: int
    cells: int
    size: tuple[int, int]
    smooth: bool = False

    @property
    def name(self) -> str:
        if self.operation == "counts":
            return f"confusion of {self.size[0]}×{self.size[1]}, {self.classes} classes"
        kind = ", smooth" if self.smooth else ""
        scores = f"{self.images}×{self.classes}×{self.cells}² → {self.size[0]}²"
        return f"{self.operation} {scores}{kind}"


CASES = {
    "argmax-21": Case("argmax", 21, 1, 64, (512, 512)),
    "argmax-21-smooth": Case("argmax", 21, 1, 64, (512, 512), smooth=True),
    "argmax-150": Case("argmax", 150, 1, 128, (512, 512)),
    "argmax-150-smooth": Case("argmax", 150, 1, 128, (512, 512), smooth=True),
    "winner-21": Case("winner", 21, 1, 64, (512, 512)),
    "winner-150": Case("winner", 150, 1, 128, (512, 512)),
    "loss-21": Case("loss", 21, 4, 64, (512, 512)),
    "loss-150": Case("loss", 150, 4, 64, (512, 512)),
    "counts-19": Case("counts", 19, 1, 256, (1024, 2048)),
}


def functions(case: Case, device: str) -> dict[str, Callable[[], object]]:
    """The operation by each library, on the same data."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.images, case.classes, case.cells, case.cells)
    cells = torch.randint(0, case.classes, (case.images, 16, 16), generator=generator)
    mask = F.interpolate(cells[:, None].float(), case.size)[:, 0].to(torch.uint8).to(device)
    if case.operation == "counts":
        return _counts(mask, case.classes)
    scores = torch.randn(shape, generator=generator)
    if case.smooth:
        scores = F.avg_pool2d(scores, 9, 1, 4) * 9
    scores = scores.to(device)
    if case.operation == "loss":
        return _losses(scores, mask, case)
    torch_operation = _argmax if case.operation == "argmax" else _winner
    own = kernels.argmax if case.operation == "argmax" else kernels.winner
    score_map, last = ScoreMap.of(scores, case.size), scores.contiguous(memory_format=LAST)
    compiled = torch.compile(torch_operation)
    return {
        "perpixel": lambda: own(score_map),
        "eager": lambda: torch_operation(scores, case.size),
        "channels_last": lambda: torch_operation(last, case.size),
        "compiled": lambda: compiled(scores, case.size),
    }


def _argmax(scores: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(scores, size, mode="bilinear").argmax(1)


def _winner(scores: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    probability, mask = F.interpolate(scores, size, mode="bilinear").softmax(1).max(1)
    return mask, probability


def _losses(
    scores: torch.Tensor, mask: torch.Tensor, case: Case
) -> dict[str, Callable[[], object]]:
    import segmentation_models_pytorch as smp

    soft = smp.losses.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORED)
    wide = mask.long()

    def upsampled(scores: torch.Tensor) -> torch.Tensor:
        return F.interpolate(scores, case.size, mode="bilinear")

    def naive(scores: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(upsampled(scores), wide, ignore_index=IGNORED)

    def fused(scores: torch.Tensor) -> torch.Tensor:
        return kernels.cross_entropy(ScoreMap.of(scores, case.size), mask, ignore_index=IGNORED)

    compiled = torch.compile(naive)

    def step(loss: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor) -> None:
        scores = scores.detach().requires_grad_()
        loss(scores).backward()

    last = scores.contiguous(memory_format=LAST)
    return {
        "perpixel": lambda: step(fused, scores),
        "eager": lambda: step(naive, scores),
        "channels_last": lambda: step(naive, last),
        "compiled": lambda: step(compiled, scores),
        "smp": lambda: step(lambda scores: soft(upsampled(scores), wide), scores),
    }


def _counts(mask: torch.Tensor, classes: int) -> dict[str, Callable[[], object]]:
    from torchmetrics.classification import MulticlassConfusionMatrix

    prediction = mask.roll((5, 7), (1, 2))
    meter = MulticlassConfusionMatrix(classes, ignore_index=IGNORED).to(mask.device)

    def counted() -> torch.Tensor:
        kept = mask != IGNORED
        pairs = mask[kept].long() * classes + prediction[kept]
        return torch.bincount(pairs, minlength=classes * classes)

    # torchmetrics takes no uint8 for a class: users hand it the int64 that argmax gives.
    wide, wide_mask = prediction.long(), mask.long()
    return {
        "perpixel": lambda: kernels.confusion(
            prediction, mask, classes=classes, ignore_index=IGNORED
        ),
        "eager": counted,
        "torchmetrics": lambda: meter.update(wide, wide_mask),
    }


def row(name: str, case: Case, options: argparse.Namespace) -> dict[str, object]:
    """One line of the table."""
    chosen = functions(case, options.device)
    if options.no_compile:
        chosen.pop("compiled", None)
    times = interleaved(chosen, options.rounds)
    own = times["perpixel"]
    ratio = {each: time / own for each, time in times.items()}
    peer = next((each for each in ("smp", "torchmetrics") if each in times), None)
    memory = {}
    for each in ("perpixel", "eager", "compiled"):
        if each in chosen and not options.no_memory:
            found = memory_in_a_process_of_its_own(__file__, name, each, options.device)
            memory[each] = None if found is None else found / 2**20
    return {
        "operation": case.name,
        "perpixel ms": own * 1e3,
        "eager": ratio["eager"],
        "faster layout": min(ratio["eager"], ratio.get("channels_last", ratio["eager"])),
        "compiled": ratio.get("compiled"),
        "peer": ratio.get(peer) if peer else None,
        "peer is": peer,
        "extra MiB": memory.get("perpixel"),
        "eager MiB": memory.get("eager"),
        "compiled MiB": memory.get("compiled"),
        "ms": {each: time * 1e3 for each, time in times.items()},
    }


def main() -> None:
    """Measure, or in a process of its own find one call's memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory", nargs=3, metavar=("CASE", "LIBRARY", "DEVICE"))
    options = parser.parse_args()
    if options.memory:
        name, library, device = options.memory
        case = CASES[name]
        small = case._replace(images=1, cells=4, size=(16, 16))
        if library == "compiled":  # is compiled for one size
            small = case
        call = functions(case, device)[library]
        warm = call if small is case else functions(small, device)[library]
        print(peak_memory(warm, call))
        return
    rows = [row(name, CASES[name], options) for name in options.cases or CASES]
    report(f"kernels-{options.device}", rows, COLUMNS)


if __name__ == "__main__":
    main()
