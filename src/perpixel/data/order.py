"""Which samples form which batch of which epoch: drawn from the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from perpixel.data.balance import Balance


class Key(NamedTuple):
    """A training sample: its epoch, its image, the place of its draws, and a class to crop around
    (-1: none)."""

    epoch: int
    image: int
    place: int
    focus: int = -1


class Order:
    """The batch sampler: which samples form which batch of the epoch that is set."""

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        balance: Balance | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.samples = samples
        self.batch_size = min(batch_size, samples)
        self.seed = seed
        self.balance = balance
        self.share = share
        self.epoch = 0
        self.start = 0

    @property
    def batches(self) -> int:
        return -(-self.samples // self.batch_size)

    def __len__(self) -> int:
        return self.batches - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        order = random_draws(self.seed, self.epoch).permutation(self.samples)
        keys = [Key(self.epoch, int(index), 1 + int(index)) for index in order]
        if self.balance is not None:
            # The epoch's place 0 is no sample's, nor are those beyond the samples.
            drawn = self.balance.draw(self.samples, random_draws(self.seed, self.epoch, 0))
            for slot, (index, focus) in enumerate(zip(*drawn, strict=True)):
                if focus >= 0:
                    place = 1 + self.samples + slot
                    keys[slot] = Key(self.epoch, int(index), place, int(focus))
        keys += keys
        first, of = self.share
        for batch in range(self.start, self.batches):
            yield keys[batch * self.batch_size : (batch + 1) * self.batch_size][first::of]


def random_draws(seed: int, *place: int) -> np.random.Generator:
    """Random numbers that follow from the seed and a place, and from nothing else."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))
