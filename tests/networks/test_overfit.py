"""Every network can learn: a narrow copy fits four drawn scenes about as well as its stride lets
anything fit them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel import kernels
from perpixel.delivery.scenes import CLASSES, draw
from perpixel.metrics.confusion import Confusion
from perpixel.networks import Network, NetworkName, build, network_config
from perpixel.networks.paper_fcn import PaperFCN
from perpixel.networks.torchvision_networks import TorchvisionNetwork
from perpixel.score_map import ScoreMap

# Just what the original U-Net can put out, 4 + 16 n; no multiple of 32.
HEIGHT, WIDTH = 52, 68
LOOKS, STEPS_BETWEEN = 30, 15

# The options that make each network narrow, and its learning rate.
RESNET: dict[str, object] = {"backbone": "test_resnet"}
NARROW: dict[str, tuple[dict[str, object], float]] = {
    "fcn32s": (RESNET | {"head_channels": 32}, 3e-3),
    "fcn16s": (RESNET | {"head_channels": 32}, 3e-3),
    "fcn8s": (RESNET | {"head_channels": 32}, 3e-3),
    "fcn4s": (RESNET | {"head_channels": 32}, 3e-3),
    "fcn32s-vgg16": ({"width": 4}, 3e-3),
    "fcn16s-vgg16": ({"width": 4}, 3e-3),
    "fcn8s-vgg16": ({"width": 4}, 3e-3),
    "fcn8s-vgg16-at-once": ({"width": 4}, 3e-3),
    "fcn-decoder": ({"backbone": "vgg13", "width": 8}, 1e-2),
    "segnet": ({"width": 8}, 1e-2),
    "segnet-basic": ({"width": 12}, 1e-2),
    "unet": ({"width": 8}, 5e-3),
    "unet-padded": (RESNET | {"width": 8}, 5e-3),
    "deeplabv3": (RESNET | {"head_channels": 32}, 3e-3),
    "deeplabv3plus": (RESNET | {"head_channels": 32}, 3e-3),
    "fcn_resnet50": ({}, 3e-3),
    "fcn_resnet101": ({}, 3e-3),
    "deeplabv3_resnet50": ({}, 3e-3),
    "deeplabv3_resnet101": ({}, 3e-3),
    "deeplabv3_mobilenet_v3_large": ({}, 3e-3),
}


def make(name: str, options: dict[str, object]) -> Network:
    """The narrow copy; of torchvision's networks, which have no such option, an eighth as wide."""
    network = build(network_config({"name": name, "classes": CLASSES.classes, **options}))
    if isinstance(network, TorchvisionNetwork):
        narrow(network, 8)
    return network


def narrow(network: nn.Module, by: int) -> None:
    """Replace every layer by one with so many times fewer channels, bands and classes apart."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d):
                fewer = nn.Conv2d(
                    layer.in_channels // (1 if layer is convolutions[0] else by),
                    layer.out_channels // (1 if layer is convolutions[-1] else by),
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    layer.dilation,
                    max(layer.groups // by, 1),
                    bias=layer.bias is not None,
                )
                setattr(parent, name, fewer)
            elif isinstance(layer, nn.BatchNorm2d):
                # With the usual momentum: MobileNet's takes thousands of steps to settle.
                setattr(parent, name, type(layer)(layer.num_features // by))


def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Four images, normalised, and their masks."""
    drawn = [draw(0, index, HEIGHT, WIDTH) for index in range(4)]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2).float()
    masks = torch.from_numpy(np.stack([mask for _, mask in drawn]))
    return (images - images.mean()) / images.std(), masks


def mean_iou(found: ScoreMap, masks: torch.Tensor) -> float:
    confusion = Confusion(CLASSES)
    confusion.update(kernels.argmax(found).numpy(), masks.numpy())
    return confusion.scores().mean_iou


def kept(masks: torch.Tensor, stride: int) -> float:
    """The score of the truth itself, once it has been averaged over the cells of that stride."""
    truth = F.one_hot(masks.long(), CLASSES.classes).permute(0, 3, 1, 2).float()
    cells = F.avg_pool2d(truth, stride, ceil_mode=True)
    return mean_iou(ScoreMap.of(cells, (HEIGHT, WIDTH), float(stride)), masks)


def optimiser_of(network: Network, rate: float) -> torch.optim.Optimizer:
    """Adam. A layer whose input is scaled down has a rate as much higher, as if it were not."""
    scales = {}
    if isinstance(network, PaperFCN):
        scales = {score: scale for _, scale, _, score, _ in network.skips}
    groups = []
    for name, parameter in network.named_parameters():
        scale = scales.get(name.split(".")[0], 1.0) if name.endswith("weight") else 1.0
        groups.append({"params": [parameter], "lr": rate / scale, "eps": 1e-8 * scale})
    return torch.optim.Adam(groups)


def fitted(network: Network, rate: float, enough: float) -> float:
    """The score after at most 450 steps on all four scenes; fewer if it is enough."""
    images, masks = scenes()
    network = network.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    optimiser = optimiser_of(network, rate)
    score = 0.0
    for _ in range(LOOKS):
        network.train()
        for module in network.modules():
            if isinstance(module, nn.Dropout | nn.Dropout2d):
                module.eval()  # it is there against just this
        for _ in range(STEPS_BETWEEN):
            optimiser.zero_grad()
            kernels.cross_entropy(
                network(images), masks, ignore_index=CLASSES.ignore_index
            ).backward()  # fmt: skip
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        network.eval()
        with torch.no_grad():
            score = mean_iou(network(images), masks)
        if score >= enough:
            break
    return score


@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_copy_fits_four_scenes(name: str) -> None:
    options, rate = NARROW[name]
    network = make(name, options)
    images, masks = scenes()
    with torch.no_grad():
        stride = round(network.eval()(images).stride[0])
    enough = 0.95 * kept(masks, stride)
    assert fitted(network, rate, enough) >= enough


def test_every_network_is_here() -> None:
    assert NARROW.keys() == set(get_args(NetworkName))


def test_the_truth_keeps_less_the_coarser_the_stride() -> None:
    _, masks = scenes()
    shares = [kept(masks, stride) for stride in (1, 2, 4, 8, 16, 32)]
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
