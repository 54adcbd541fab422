"""Foreign weights: state dicts that were trained elsewhere, fitted whole or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from perpixel.errors import WeightsError
from perpixel.networks.bilinear import is_bilinear
from perpixel.networks.network import Network
from perpixel.networks.paper_fcn import PAPER_INPUT, PaperFCN
from perpixel.networks.torchvision_networks import AUXILIARY, TorchvisionNetwork
from perpixel.networks.weight_files import read_tensors
from perpixel.networks.weights import load_pretrained, preprocessing_for
from perpixel.preprocessing import Preprocessing

SHOWN = 8


def import_weights(network: Network, path: Path) -> tuple[str, Preprocessing]:
    """Give a network for images of three bands the weights in a foreign file, in place.

    Whole networks are torchvision's segmentation networks, and the paper's networks under Caffe's
    names, as the PyTorch reproduction of FCN has them. Any other file is taken to hold the weights
    of the network's backbone; the rest of the network stays random.

    Args:
        network: as `build` made it.
        path: a `.safetensors` file, or a torch file, which is read with `weights_only=True`.

    Returns:
        One line that says what was loaded, and the preprocessing that goes with it.

    Raises:
        WeightsError: the file cannot be read, or its names and shapes do not fit; the differences
            are listed.
    """
    tensors = {name.removeprefix("module."): value for name, value in read_tensors(path).items()}
    if isinstance(network, TorchvisionNetwork) and _begins(tensors, "backbone."):
        whole = {name: value for name, value in tensors.items() if not name.startswith(AUXILIARY)}
        _load(network, path, whole)
        spare = len(tensors) - len(whole)
        left = f"; left out {spare} of {AUXILIARY}*, which only training uses" if spare else ""
        return f"{len(whole)} tensors from {path}{left}", Preprocessing()
    if isinstance(network, PaperFCN) and _begins(tensors, "conv1_1."):
        _load(network, path, _without_bilinear_end(network, path, tensors))
        return f"{len(tensors)} tensors from {path}", PAPER_INPUT
    line = load_pretrained(network, path)
    return line, preprocessing_for(network.backbone_name, 3, path)


def _begins(tensors: Mapping[str, torch.Tensor], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in tensors)


def _without_bilinear_end(
    network: PaperFCN, path: Path, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Published files hold the last upsampling too; where it is bilinear, the ScoreMap does it."""
    name = f"{network.last.name}.weight"
    if network.full_size or name not in tensors:
        return dict(tensors)
    weight = tensors[name]
    if not is_bilinear(weight) or weight.shape[2] != 2 * network.last.stride:
        raise WeightsError(
            path,
            found=f"{name} is no bilinear upsampling by {network.last.stride}",
            expected="the fixed upsampling with which the paper's networks end",
            mend="Give --upsampling learned, so that the network has that layer",
        )
    return {other: value for other, value in tensors.items() if other != name}


def _load(network: Network, path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Every tensor of the network, under its own name and in its own shape, and no other."""
    own = network.state_dict()
    differences = [f"lacks {name}" for name in own if name not in tensors]
    differences += [f"has unknown {name}" for name in tensors if name not in own]
    differences += [
        f"{name} is {_shape(tensors[name])}, not {_shape(value)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise WeightsError(
            path,
            found=f"does not fit: {'; '.join(differences[:SHOWN])}{more}",
            mend="Give the --network and --classes that the weights were trained for",
        )
    network.load_state_dict(dict(tensors))


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
