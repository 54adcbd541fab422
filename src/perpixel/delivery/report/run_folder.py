"""A run folder, opened: its settings, its model, its epochs, and the data that it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perpixel.checkpoint import Checkpoint, read_checkpoint
from perpixel.data.dataset import Dataset, Pair
from perpixel.errors import ConfigError, DataError
from perpixel.inference.predictor import Model, pick_device
from perpixel.training import TrainConfig
from perpixel.training.files import CONFIG, METRICS, MODEL, read_metrics


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run that `perpixel train` left, and a split.

    Args:
        folder: the run folder.
        config: its settings.
        checkpoint: its best model, as stored.
        model: the same, ready to predict.
        epochs: the lines of `metrics.jsonl`, oldest first.
        dataset: the data, where it is now.
        split: which split the model is judged on.
    """

    folder: Path
    config: TrainConfig
    checkpoint: Checkpoint
    model: Model
    epochs: list[dict[str, Any]]
    dataset: Dataset
    split: str

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The images and masks of the split."""
        return self.dataset.split(self.split)

    @property
    def file(self) -> Path:
        """The model's file."""
        return self.folder / MODEL


def open_run(folder: Path, *, split: str = "val", data: Path | None = None) -> OpenRun:
    """Open a run folder.

    Args:
        folder: as `perpixel train` left it.
        split: the split to judge the model on.
        data: the dataset folder; None: where the run's settings say that it is.

    Raises:
        ConfigError: it is no run folder, its data is no longer where it was, or the data has other
            classes than the model.
        ModelError: the model cannot be read.
        DataError: the data cannot be read, or has no such split.
    """
    config = TrainConfig.read(folder / CONFIG)
    checkpoint = read_checkpoint(folder / MODEL)
    if data is None and not config.data.is_dir():
        raise ConfigError(
            folder / CONFIG,
            found=f"data {config.data}, which is no folder here",
            mend="Say where the data is now, with --data",
        )
    dataset = config.dataset(data)
    ours, theirs = checkpoint.labels, dataset.labels
    if (ours.names, ours.ignore_index) != (theirs.names, theirs.ignore_index):
        raise ConfigError(
            dataset.root,
            found=f"classes {', '.join(theirs.names)} and ignore index {theirs.ignore_index}",
            expected=f"those of {folder}: {', '.join(ours.names)} and {ours.ignore_index}",
            mend="Give the data that the run was trained on, or its like, with --data",
        )
    try:
        epochs = read_metrics(folder)
    except ValueError as error:
        mend = "Remove its unreadable line"
        raise ConfigError(folder / METRICS, found=f"damaged ({error})", mend=mend) from None
    for pair in dataset.split(split):
        if pair.mask is None:
            mend = "Name a split whose images all have masks"
            raise DataError(pair.image, found="an image without a mask", mend=mend)
    model = Model(checkpoint.restore(), ours, checkpoint.preprocessing, pick_device())
    return OpenRun(folder, config, checkpoint, model, epochs, dataset, split)
