"""The gradient of a step: of the whole batch, in as many parts and processes as it takes."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from perpixel.data.loader import Batch
from perpixel.preprocessing import Preprocessing
from perpixel.training.objective import Objective
from perpixel.training.precision import Precision, autocast
from perpixel.training.processes import Processes


@dataclass(frozen=True)
class Outcome:
    """What became of a batch.

    Args:
        loss: of the whole batch, of all processes.
        sound: whether loss and gradient are numbers.
        culprits: where they are not, the files that it may come from.
        asked: whether a process was asked to stop.
    """

    loss: float
    sound: bool
    culprits: tuple[Path, ...]
    asked: bool


class Stepper:
    """Takes a batch to a gradient, and a gradient to new weights.

    A batch may go through the network in parts, and each process has its share of it. The gradient
    is that of the whole batch all the same: the mean over labelled pixels is over those of all
    parts and processes. (Hard pixels and Dice are of each part, and weighted like the rest;
    statistics of batch norms that are not synchronised are of each part, too.)

    Args:
        network: in training, wrapped for several processes.
        own: the same network without the wrapping.
        optimizer: of its weights; each group has a `rate`, times the learning rate.
        objective: what is made smaller.
        preprocessing: from stored numbers to the network's input.
        processes: all that share the batch.
        precision: of the forward pass.
        clip: the largest norm of a gradient; None: any.
    """

    def __init__(
        self,
        network: nn.Module,
        own: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        preprocessing: Preprocessing,
        processes: Processes,
        precision: Precision,
        clip: float | None = None,
    ) -> None:
        self.network, self.own, self.optimizer = network, own, optimizer
        self.objective, self.preprocessing = objective, preprocessing
        self.processes, self.clip = processes, clip
        self._weights = [weight for weight in own.parameters() if weight.requires_grad]
        self._buffers = list(own.buffers())
        self._before: list[torch.Tensor] = []
        self.use(precision)

    def use(self, precision: Precision) -> None:
        """Compute forward passes in this precision from now on."""
        self.precision = precision
        # fp16 has no small numbers: its gradients are computed at a scale that is found out.
        self.scaler = torch.amp.GradScaler(self.processes.device.type, enabled=precision == "fp16")

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The objective of a batch, as this process has it."""
        device = self.processes.device
        images = self.preprocessing(batch.images.to(device, non_blocking=True))
        score_map = network(images.contiguous(memory_format=torch.channels_last))
        return self.objective(score_map, batch.masks.to(device, non_blocking=True))

    def gradient(self, batch: Batch, parts: int, asked: bool = False) -> Outcome:
        """Leave the gradient of the whole batch in the weights.

        Args:
            batch: this process's share.
            parts: how many parts it goes through the network in, the same in all processes; of
                several none has more than there are images in the smallest share.
            asked: whether this process was asked to stop, to be told to all.
        """
        self._before = [buffer.clone() for buffer in self._buffers]
        if parts > 1 and self.processes.world > 1:
            # Where shares differ by an image, no process waits for another's part that is none.
            parts = min(parts, *self.processes.gathered(len(batch.paths)))
        pieces = split(batch, parts)
        shares = self._shares(pieces)
        losses: list[float] = []
        culprits: list[Path] = []
        for piece, share in zip(pieces, shares, strict=True):
            loss = self._backward(piece, share, last=len(losses) + 1 == len(pieces))
            losses.append(loss)
            culprits += piece.paths if not math.isfinite(loss) else ()
        total, stops = self.processes.sums(math.fsum(losses), float(asked))
        sound = math.isfinite(total) and self._unscaled()
        if not sound:
            everyones = self.processes.gathered(culprits)
            # Where the loss is a number and the gradient is none, any image may be the reason.
            if not any(everyones):
                everyones = self.processes.gathered(list(batch.paths))
            culprits = [path for paths in everyones for path in paths]
        return Outcome(total, sound, tuple(culprits), stops > 0)

    def update(self, rate: float) -> None:
        """Change the weights by their gradient, at this learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self._weights, self.clip)
        if self.precision == "fp16":
            # Leaves the weights as they are where the scaled gradient was too large for fp16.
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def discard(self) -> None:
        """Forget the gradient, and what the forward pass has left in the batch norms."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in zip(self._buffers, self._before, strict=True):
                buffer.copy_(before)
        if self.precision == "fp16":
            # What it noted about the gradient is forgotten with it; the scale stays. A new scaler,
            # because one that has scaled nothing yet cannot be told to forget.
            scale = self.scaler.state_dict()
            self.use(self.precision)
            self.scaler.load_state_dict(scale)
        if self.processes.device.type == "cuda":
            torch.cuda.empty_cache()

    def _backward(self, piece: Batch, share: float, *, last: bool) -> float:
        """The loss of a part as a term of the whole batch's; its gradient is added up."""
        world = self.processes.world
        with nullcontext() if last else self.processes.unsynchronised(self.network):
            with autocast(self.precision, self.processes.device):
                loss = self.loss(self.network, piece)
            if share != 1.0:
                loss = loss * share
            # Gradients are averaged over processes, but their losses add up.
            scaled = loss * world if world > 1 else loss
            if self.precision == "fp16":
                scaled = self.scaler.scale(scaled)
            scaled.backward()
        return float(loss.detach())

    def _shares(self, pieces: list[Batch]) -> list[float]:
        """What each part's mean counts for in the mean of the whole batch."""
        alone = len(pieces) == 1 and self.processes.world == 1
        if alone or self.objective.reduction == "sum":
            return [1.0] * len(pieces)
        weights = [self.objective.weight(piece.masks) for piece in pieces]
        (total,) = self.processes.sums(math.fsum(weights))
        return [weight / total if total > 0 else 0.0 for weight in weights]

    def _unscaled(self) -> bool:
        """Whether the gradient is a number; fp16's scaling looks after that itself."""
        if self.precision == "fp16":
            self.scaler.unscale_(self.optimizer)
            return True
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        return bool(torch.isfinite(nn.utils.get_total_norm(gradients)))


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in parts of as equal sizes as can be; no part is empty."""
    if parts <= 1:
        return [batch]
    parts = min(parts, len(batch.paths))
    pieces: list[Batch] = []
    for images, masks in zip(
        batch.images.tensor_split(parts), batch.masks.tensor_split(parts), strict=True
    ):
        start = sum(len(piece.paths) for piece in pieces)
        pieces.append(Batch(images, masks, batch.paths[start : start + len(images)]))
    return pieces


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, on a GPU or on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
