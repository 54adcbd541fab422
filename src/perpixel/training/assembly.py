"""A run is put together here: network, average, optimizer, loader and objective."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from perpixel import kernels
from perpixel.data.balance import Balance
from perpixel.data.dataset import Dataset
from perpixel.data.loader import training_loader
from perpixel.data.scan import Scan
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.networks import Network, NetworkConfig
from perpixel.preprocessing import Preprocessing
from perpixel.training import batch_norm
from perpixel.training.averaging import WeightAverage
from perpixel.training.budget import Budget
from perpixel.training.class_weights import weights_by_class
from perpixel.training.config import TrainConfig
from perpixel.training.keeping import Keeper
from perpixel.training.loop import Run
from perpixel.training.objective import Objective
from perpixel.training.processes import Processes
from perpixel.training.recompute import recompute_sequences
from perpixel.training.report import Listener
from perpixel.training.schedule import Plan
from perpixel.training.state import Progress
from perpixel.training.step import Stepper
from perpixel.training.trackers import tracker_of


@dataclass(frozen=True)
class Parts:
    """What a run is made from.

    Args:
        config: with every setting decided.
        dataset: has a training and a validation split.
        seen: what the training split holds.
        network, network_config, preprocessing: on the CPU, with its initial weights.
    """

    config: TrainConfig
    dataset: Dataset
    seen: Scan
    network: Network
    network_config: NetworkConfig
    preprocessing: Preprocessing


def put_together(parts: Parts, processes: Processes, listener: Listener, begun: float) -> Run:
    """Everything that a run needs, at its first step, in fp32.

    Args:
        parts: what it is made from.
        processes: that share its work.
        listener: hears one line about what was made.
        begun: when the run began, on `time.perf_counter`'s clock.
    """
    config, dataset, network = parts.config, parts.dataset, parts.network
    device = processes.device
    on = "" if network.backbone_name is None else f" on {network.backbone_name}"
    network = network.to(device).to(memory_format=torch.channels_last)
    average = WeightAverage(network, config.ema)
    batch_norms = batch_norm.chosen(config.batch_norm, processes, config.batch_size)
    batch_norm.prepare(network, batch_norms, processes)
    if config.recompute and not recompute_sequences(network):
        listener.line(f"recompute: {config.network} has no sequences, so no memory is saved")
    loader = training_loader(
        dataset.split("train"),
        dataset.labels,
        config.augmentation,
        parts.preprocessing,
        batch_size=config.batch_size,
        seed=config.seed,
        workers=config.workers,
        balance=Balance.of(config.balance, parts.seen.by_image) if config.balance > 0 else None,
        share=(processes.rank, processes.world),
    )
    _check_shares(config, len(dataset.split("train")), processes)
    # Asked for in every process: one that is missing is refused in all of them.
    tracker = tracker_of(config, listener)
    total = None if config.epochs is None else config.epochs * loader.batches
    parameters = sum(parameter.numel() for parameter in network.parameters())
    listener.line(
        f"network {config.network}{on}: {parameters / 1e6:.2f} M parameters, "
        f"{_seen(config)}, batch {config.batch_size}, "
        f"{_where(processes, batch_norms)}, kernels {kernels.kernel_for(device)}"
    )
    validation = dataset.split("val")
    stepper = Stepper(
        processes.wrapped(_compiled(network) if config.compile else network),
        network,
        _optimizer(network, config),
        _objective(config, dataset.labels, parts.seen, device),
        parts.preprocessing,
        processes,
        "fp32",
        config.clip,
    )
    return Run(
        config=config,
        processes=processes,
        stepper=stepper,
        batch_norms=batch_norms,
        average=average,
        loader=loader,
        validation=validation,
        network_config=parts.network_config,
        model=Model(average.network, dataset.labels, parts.preprocessing, device),
        keeper=Keeper(config.out, listener, writes=processes.main),
        # Until one has been seen, a validation image is taken to cost a third of a training one.
        budget=None
        if config.minutes is None
        else Budget(60 * config.minutes, loader.batches, len(validation) / config.batch_size / 3),
        progress=Progress(Plan(total), parts=config.accumulate),
        listener=listener,
        tracker=tracker if processes.main else None,
        begun=begun,
        provenance=_provenance(config),
        facts=identity(parts, processes),
    )


def _check_shares(config: TrainConfig, images: int, processes: Processes) -> None:
    batch = min(config.batch_size, images)
    if batch < processes.world:
        raise ConfigError(
            f"batch {batch}",
            found=f"shared by {processes.world} processes",
            expected="an image for each of them",
            mend="Give a larger --batch-size, or start fewer processes",
        )


def identity(parts: Parts, processes: Processes) -> dict[str, Any]:
    """What a state says of its run, for whoever goes on from it: settings, network, data, versions.

    Args:
        parts: what the run is made from.
        processes: that share its work.
    """
    return {
        "config": parts.config.model_dump(mode="json"),
        "network": parts.network_config.model_dump_json(),
        "labels": parts.dataset.labels.model_dump_json(),
        "preprocessing": parts.preprocessing.model_dump_json(),
        "data": fingerprint(parts.dataset),
        # Weights of classes and draws by class follow from them.
        "pixels": parts.seen.pixels.tolist(),
        "machine": {
            "perpixel": version("perpixel"),
            "torch": torch.__version__,
            "device": processes.device.type,
            "threads": torch.get_num_threads(),
            "processes": processes.world,
        },
    }


def fingerprint(dataset: Dataset) -> str:
    """Which images a run is trained and validated on, by their names and order, in one word."""
    names = [
        [os.path.relpath(pair.image, dataset.root) for pair in dataset.split(split)]
        for split in ("train", "val")
    ]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; biases and batch norms are not decayed. `rate`: times the learning rate."""
    encoder = set(network.encoder_names(())) if config.backbone_rate != 1 else set()
    groups = []
    for is_encoder, is_matrix in itertools.product((False, True), (True, False)):
        weights = [
            weight
            for name, weight in network.named_parameters()
            if (name in encoder) is is_encoder and (weight.ndim > 1) is is_matrix
        ]
        decay = config.decay if is_matrix else 0.0
        rate = (config.backbone_rate if is_encoder else 1.0) * (
            1.0 if is_matrix else config.bias_rate
        )
        if weights:
            groups.append({"params": weights, "weight_decay": decay, "rate": rate})
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.peak_learning_rate)
    return torch.optim.SGD(groups, lr=config.peak_learning_rate, momentum=config.momentum)


def _compiled(network: nn.Module) -> nn.Module:
    # Compiled first and wrapped for several processes after: the other way round fails.
    compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return compiled


def _where(processes: Processes, batch_norms: batch_norm.BatchNorms) -> str:
    threads = f"{processes.device.type} ({torch.get_num_threads()} threads)"
    if processes.world == 1:
        return threads
    return f"{processes.world} processes on {threads} each, batch norms {batch_norms}"


def _seen(config: TrainConfig) -> str:
    crop = config.augmentation.crop
    return "whole images" if crop is None else f"crops {crop[0]}×{crop[1]}"


def _objective(
    config: TrainConfig, labels: LabelSpace, seen: Scan, device: torch.device
) -> Objective:
    weights = weights_by_class(config.class_weights, seen.pixels)
    return Objective(
        labels.ignore_index,
        None if weights is None else torch.from_numpy(weights).to(device, torch.float32),
        config.label_smoothing,
        config.loss,
        config.hard_pixels,
        config.dice,
    )


def _provenance(config: TrainConfig) -> dict[str, Any]:
    return {
        "perpixel": version("perpixel"),
        "torch": torch.__version__,
        "config": config.model_dump(mode="json"),
    }
