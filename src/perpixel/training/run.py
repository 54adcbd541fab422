"""From a configuration to a trained model: `train` starts a run, `resume` goes on with one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from perpixel.checkpoint import read_checkpoint, write_whole
from perpixel.data.dataset import Dataset
from perpixel.data.scan import Scan, scan_splits
from perpixel.errors import ConfigError
from perpixel.metrics import Scores
from perpixel.networks import Network, NetworkConfig, build
from perpixel.networks.transfer import initialise_from
from perpixel.networks.weights import load_pretrained
from perpixel.preprocessing import Preprocessing
from perpixel.training import files
from perpixel.training.assembly import put_together
from perpixel.training.choices import decide, facts_of
from perpixel.training.config import TrainConfig
from perpixel.training.loop import Run
from perpixel.training.memory import keep_freed_memory
from perpixel.training.precision import Precision, measure
from perpixel.training.preparation import bands_taken, preparation
from perpixel.training.report import Listener, Silence
from perpixel.training.schedule import Plan
from perpixel.training.state import Progress, unpack


@dataclass(frozen=True)
class TrainResult:
    """What a run left: its folder, the best model in it, and that model's validation scores."""

    folder: Path
    model: Path
    scores: Scores


def train(config: TrainConfig, listener: Listener | None = None) -> TrainResult:
    """Train a network as configured and leave a run folder.

    Raises:
        PerpixelError: the data, the weights or a setting cannot be used, or the folder not
            written; nothing is left behind where that is known before the first step.
    """
    begun = time.perf_counter()
    listener = listener or Silence()
    dataset = _opened(config, listener)
    seen = _look(dataset, listener)
    config = _decided(config, dataset, seen, listener)
    torch.manual_seed(config.seed)
    network, network_config, preprocessing = _network(config, dataset, seen, listener)
    files.new_run_folder(config.out)
    write_whole(config.out / files.CONFIG, config.as_yaml().encode())
    run = put_together(
        config, dataset, seen, network, network_config, preprocessing, listener, begun
    )
    run.precision = _precision(run, listener)
    return _finish(run)


def resume(folder: Path, listener: Listener | None = None) -> TrainResult:
    """Go on with the run in `folder` from its last state.

    Raises:
        ConfigError: there is no run, or no state, in the folder.
    """
    begun = time.perf_counter()
    listener = listener or Silence()
    tensors, facts = files.read_state(folder)
    config = TrainConfig.read(folder / files.CONFIG).model_copy(update={"out": folder})
    dataset = _opened(config, listener)
    seen = _look(dataset, listener)
    best = read_checkpoint(folder / files.MODEL)
    if best.labels != dataset.labels:
        raise ConfigError(
            config.data,
            found="other classes than the run was started with",
            expected=", ".join(best.labels.names),
            mend="Give the data its old classes.yaml back, or start a new run",
        )
    network = build(best.network)
    run = put_together(
        config,
        dataset,
        seen,
        network,
        best.network,
        best.preprocessing,
        listener,
        begun - facts["seconds"],
    )
    unpack(tensors, run.accelerator.unwrap_model(run.network), run.average.network, run.optimizer)
    counts = np.asarray(facts["best_counts"], np.int64)
    run.progress = Progress(
        plan=Plan(**facts["plan"]),
        best_scores=Scores(dataset.labels, counts),
        **{
            name: facts[name]
            for name in ("step", "epoch", "batch", "epochs_done", "seconds", "learning_rate")
        },
    )
    run.precision = facts["precision"]
    files.keep_metrics_until(folder, run.progress.step)
    listener.line(f"resumed after step {run.progress.step}, precision {run.precision}")
    return _finish(run)


def _finish(run: Run) -> TrainResult:
    if run.accelerator.device.type == "cpu":
        keep_freed_memory()
    scores = run.go()
    return TrainResult(run.folder, run.folder / files.MODEL, scores)


def _opened(config: TrainConfig, listener: Listener) -> Dataset:
    """The dataset, and a line for each thing that was understood about it."""
    dataset = config.dataset()
    how = "recognised" if config.layout is None else "as asked"
    for line in (f"layout {dataset.layout} ({how})", *dataset.notes):
        listener.line(line)
    return dataset


def _look(dataset: Dataset, listener: Listener) -> Scan:
    """Read every mask before the first step: what is wrong is said now, not after an hour."""
    seen, findings = scan_splits(dataset, ("train", "val"), listener.reading)
    for finding in findings:
        if finding.severity == "warning":
            listener.line(f"warning: {finding.message}")
    listener.line(
        f"data {dataset.root}: {len(dataset.split('train'))} training and "
        f"{len(dataset.split('val'))} validation images, {dataset.labels.classes} classes"
    )
    return seen["train"]


def _decided(config: TrainConfig, dataset: Dataset, seen: Scan, listener: Listener) -> TrainConfig:
    """The configuration with what was left open decided, and said."""
    config, choices = decide(config, facts_of(dataset, seen))
    for choice in choices:
        listener.line(str(choice))
    return config


def _network(
    config: TrainConfig, dataset: Dataset, seen: Scan, listener: Listener
) -> tuple[Network, NetworkConfig, Preprocessing]:
    source = None if config.init_from is None else read_checkpoint(config.init_from)
    network_config = config.network_config(
        dataset.labels.classes, bands_taken(config, seen, source)
    )
    network = build(network_config)
    if source is not None:
        transfer = initialise_from(network, source.weights)
        listener.line(f"from {config.init_from}: {transfer.summary()}")
    elif network.backbone_name is None and config.weights == "pretrained":
        listener.line(f"{config.network} has no backbone: its weights start at random")
    elif config.weights != "none":
        listener.line(load_pretrained(network, config.weights))
    chosen = preparation(config, seen, dataset, network.backbone_name, source, listener)
    return network, network_config, chosen


def _precision(run: Run, listener: Listener) -> Precision:
    if run.config.precision != "auto":
        return run.config.precision
    batch = next(iter(run.loader.epoch(0)))
    network = run.accelerator.unwrap_model(run.network)
    network.train()
    chosen, line = measure(network, lambda trial: run.loss(trial, batch), run.accelerator.device)
    listener.line(line)
    return chosen
