"""What a worker has to itself: threads, GPU and memory; and the model made ready on them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perpixel.delivery.cluster.job import Job, ModelFiles
from perpixel.inference.memory import own_memory
from perpixel.inference.predictor import Model, load
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.machine import available_memory

# Of the memory that is free others may want some.
_FREE = 0.8


@dataclass(frozen=True)
class Place:
    """What each worker has to itself.

    Args:
        cpus: threads that compute.
        gpus: GPUs, or a part of one; 0: it computes on the CPU.
        memory: what a worker may hold, such as "2G"; None: its share of what is free.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory: str | None = None

    def loaded(self, files: ModelFiles, runtime: str, precision: str) -> Model:
        """The model, on this worker's threads and device, ready to compute.

        Raises:
            ModelError, ConfigError: as `load` does.
        """
        torch.set_num_threads(self.cpus)
        device = "cuda" if self.gpus else "cpu"
        with tempfile.TemporaryDirectory(prefix="perpixel-") as folder:
            model = load(files.write(Path(folder)), device, runtime, precision)
            # This is when it is measured or converted, which reads the file.
            _ = model.choice
        return model

    def tiling(self, job: Job) -> Tiling:
        """How large images are cut in this worker."""
        memory = self.memory
        if memory is None:
            share = min(self.cpus / (os.cpu_count() or 1), 1.0)
            memory = str(own_memory() + int(_FREE * share * available_memory()))
        tile: Any = job.tile
        return Tiling(tile, memory, job.halo)


def settle(job: Job, place: Place, files: ModelFiles) -> tuple[str, str, tuple[str, ...]]:
    """What one worker finds out for all of them: the runtime and the precision that the job names,
    or that are fastest there, and the names of the model's classes.

    Raises:
        ModelError, ConfigError: as `load` does.
    """
    model = place.loaded(files, job.runtime, job.precision)
    return model.choice.runtime, model.choice.precision, model.labels.names
