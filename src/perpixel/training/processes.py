"""The processes of a run: one, or those that torchrun started, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from accelerate.accelerator import Accelerator
from jaxtyping import Int64
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from perpixel.errors import ConfigError, PerpixelError

T = TypeVar("T")


class Processes:
    """All processes of a run, as one of them sees them. Alone, it asks and tells nobody.

    Args:
        accelerator: knows the device, and has joined the group of processes where there are any.

    Attributes:
        rank: this process's number, from 0. world: how many there are. main: whether it is the one
            that decides, speaks and writes. device: what it computes on.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.main = accelerator.is_main_process
        self.device = accelerator.device

    @classmethod
    def start(cls) -> Processes:
        """Join the group that the environment names, if it names one.

        Raises:
            ConfigError: it names one, and it was not joined.
        """
        meant = int(os.environ.get("WORLD_SIZE", "1"))
        # With one torchrun all processes count restarts alike; with several they may not.
        if meant > 1 and os.environ.get("GROUP_WORLD_SIZE") == "1" and not dist.is_initialized():
            _join_attempt()
        accelerator = Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
        if accelerator.num_processes != meant:
            raise ConfigError(
                "WORLD_SIZE",
                found=f"{meant} processes were started, {accelerator.num_processes} found",
                mend="Start them with torchrun",
            )
        return cls(accelerator)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes.

        Statistics of batch norms are the main process's in all of them, if they are not shared.
        """
        if self.world == 1:
            return network
        wrapped: nn.Module = self.accelerator.prepare(network)  # type: ignore[no-untyped-call]
        return wrapped

    def unsynchronised(self, network: nn.Module) -> AbstractContextManager[Any]:
        """A backward pass in here keeps its gradient to itself, for a later one to hand on."""
        if self.world == 1:
            return nullcontext()
        return network.no_sync()  # type: ignore[no-any-return, operator]

    def from_main(self, make: Callable[[], T]) -> T:
        """What the main process makes, in every process; an error of ours arrives everywhere."""
        if self.world == 1:
            return make()
        box: list[Any] = [None]
        if self.main:
            try:
                box = [make()]
            except PerpixelError as error:
                box = [error]
        dist.broadcast_object_list(box, src=0, device=self.device)
        if isinstance(box[0], PerpixelError):
            raise box[0]
        made: T = box[0]
        return made

    def gathered(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def sums(self, *values: float) -> list[float]:
        """The sums of all processes' values, in double precision."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor]

    def counted(self, counts: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The sum of all processes' counts, exact."""
        if self.world == 1:
            return counts
        tensor = torch.from_numpy(counts).to(self.device)
        dist.all_reduce(tensor)
        return np.asarray(tensor.cpu().numpy())

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        return flag if self.world == 1 else self.sums(float(flag))[0] > 0

    def as_in_main(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give tensors, in place, the values that they have in the main process."""
        if self.world > 1:
            for tensor in tensors:
                # In the plain order of memory: a broadcast sends memory, not elements.
                plain = tensor.contiguous()
                dist.broadcast(plain, src=0)
                tensor.copy_(plain)


def _join_attempt() -> None:
    """Join the group under a name of this attempt's own.

    torchrun's store outlives a restart, and torch gives every attempt the same keys: a process
    could find the address of one that was killed, and try to reach it.
    """
    store, rank, world = next(rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        store=PrefixStore(f"attempt {attempt}", store),
        rank=rank,
        world_size=world,
    )
