"""A run is put together here: network, average, optimizer, loader and objective."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch import nn

from perpixel import kernels
from perpixel.data.balance import Balance
from perpixel.data.dataset import Dataset
from perpixel.data.loader import training_loader
from perpixel.data.scan import Scan
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.networks import Network, NetworkConfig
from perpixel.preprocessing import Preprocessing
from perpixel.training.averaging import WeightAverage
from perpixel.training.class_weights import weights_by_class
from perpixel.training.config import TrainConfig
from perpixel.training.loop import Run
from perpixel.training.objective import Objective
from perpixel.training.report import Listener
from perpixel.training.schedule import Plan
from perpixel.training.state import Progress


def put_together(
    config: TrainConfig,
    dataset: Dataset,
    seen: Scan,
    network: Network,
    network_config: NetworkConfig,
    preprocessing: Preprocessing,
    listener: Listener,
    begun: float,
) -> Run:
    """Everything that a run needs, at its first step.

    Args:
        config: with every setting decided.
        dataset: has a training and a validation split.
        seen: what the training split holds.
        network, network_config, preprocessing: on the CPU, with its initial weights.
        listener: hears one line about what was made.
        begun: when the run began, on `time.perf_counter`'s clock.
    """
    accelerator = Accelerator(mixed_precision="no")
    device = accelerator.device
    on = "" if network.backbone_name is None else f" on {network.backbone_name}"
    network = network.to(device).to(memory_format=torch.channels_last)
    average = WeightAverage(network, config.ema)
    optimizer = _optimizer(network, config)
    wrapped, optimizer = accelerator.prepare(network, optimizer)  # type: ignore[no-untyped-call]
    loader = training_loader(
        dataset.split("train"),
        dataset.labels,
        config.augmentation,
        preprocessing,
        batch_size=config.batch_size,
        seed=config.seed,
        workers=config.workers,
        balance=Balance.of(config.balance, seen.by_image) if config.balance > 0 else None,
    )
    total = None if config.epochs is None else config.epochs * loader.batches
    parameters = sum(parameter.numel() for parameter in network.parameters())
    listener.line(
        f"network {config.network}{on}: {parameters / 1e6:.2f} M parameters, "
        f"{_seen(config)}, batch {config.batch_size}, "
        f"{device.type} ({torch.get_num_threads()} threads), "
        f"kernels {kernels.kernel_for(device)}"
    )
    return Run(
        config=config,
        folder=config.out,
        accelerator=accelerator,
        network=wrapped,
        network_config=network_config,
        average=average,
        optimizer=optimizer,
        loader=loader,
        validation=dataset.split("val"),
        model=Model(average.network, dataset.labels, preprocessing, device),
        objective=_objective(config, dataset.labels, seen, device),
        precision="fp32",
        progress=Progress(Plan(total)),
        listener=listener,
        begun=begun,
        provenance=_provenance(config),
    )


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; biases and batch norms are not decayed. `rate`: times the learning rate."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.decay, "rate": 1.0},
        {"params": vectors, "weight_decay": 0.0, "rate": config.bias_rate},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.peak_learning_rate)
    return torch.optim.SGD(groups, lr=config.peak_learning_rate, momentum=config.momentum)


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
