"""Batch norms where one process sees few images: their own, synchronised, or frozen."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from perpixel.training.processes import Processes

BatchNorms = Literal["own", "synchronised", "frozen"]
# With fewer images than this in a process, its own statistics are too rough to learn from.
FEW_IMAGES = 8


def chosen(
    setting: Literal["auto"] | BatchNorms, processes: Processes, batch_size: int
) -> BatchNorms:
    """What "auto" means: a process's own statistics, or all processes' where each has few images.

    Args:
        setting: as configured.
        processes: of the run.
        batch_size: images in a step, of all processes together.
    """
    if setting != "auto":
        return setting
    few = processes.world > 1 and batch_size // processes.world < FEW_IMAGES
    return "synchronised" if few else "own"


def prepare(network: nn.Module, kind: BatchNorms, processes: Processes) -> None:
    """Let the network's batch norms, in place, share their statistics where `kind` says so.

    Frozen ones need nothing here: `to_training` leaves them alone.
    """
    if kind != "synchronised" or processes.world == 1:
        return
    _exchange(network, _synchronised())


def leave_alone(network: nn.Module) -> None:
    """Let the network's batch norms, in place, use a process's own statistics again."""
    _exchange(network, {shared: own for own, shared in _synchronised().items()})


def _synchronised() -> dict[type[nn.Module], type[nn.Module]]:
    """For each batch norm the one that shares its statistics."""
    return {nn.BatchNorm2d: SynchronisedBatchNorm, BatchNormAct2d: SynchronisedBatchNormAct}


def _exchange(network: nn.Module, kinds: dict[type[nn.Module], type[nn.Module]]) -> None:
    for module in network.modules():
        # The class is changed and nothing else: names, weights and hooks stay.
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]


def to_training(network: nn.Module, kind: BatchNorms) -> None:
    """Training mode, but for frozen batch norms."""
    network.train()
    if kind == "frozen":
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """A batch norm over the batches of all processes, on any device and backend.

    torch's own SyncBatchNorm refuses tensors on a CPU. Mean and variance are of all processes'
    values together, and gradients flow through both (Ioffe and Szegedy 2015, section 3). In eval
    mode one as any other.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W)."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        total = _over_all(torch.cat([values.sum((0, 2, 3)), count]))
        many = total[-1]
        mean = total[:-1] / many
        centred = values - mean[:, None, None]
        variance = _over_all(centred.square().sum((0, 2, 3))) / many
        self._follow(mean.detach(), variance.detach(), float(many.detach()))
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        normalised = centred * scale[:, None, None]
        if self.affine:
            normalised = normalised + self.bias[:, None, None]
        return normalised.type(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, count: float) -> None:
        """Take the statistics of a batch into the running ones, as nn.BatchNorm2d does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(count - 1.0, 1.0)), momentum)


class SynchronisedBatchNormAct(BatchNormAct2d, SynchronisedBatchNorm):
    """The same for timm's batch norms, which have their activation in them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W), then drop and activate."""
        if not self.training:
            still: torch.Tensor = BatchNormAct2d.forward(self, x)  # type: ignore[no-untyped-call]
            return still
        activated: torch.Tensor = self.act(self.drop(SynchronisedBatchNorm.forward(self, x)))
        return activated


class _SumOverAll(torch.autograd.Function):
    """The sum over all processes. Each term is in every process's sum: so is its gradient."""

    @staticmethod
    def forward(context: Any, terms: torch.Tensor) -> torch.Tensor:
        total = terms.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _over_all(terms: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _SumOverAll.apply(terms)
    return total
