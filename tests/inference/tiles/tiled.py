"""The networks that are tiled in tests, and whether tiles score as the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tiler import Tiler
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.networks.config import TorchvisionConfig
from perpixel.preprocessing import Preprocessing

CLASSES = 3
SMALL = {"backbone": "test_resnet", "head_channels": 8}
# How many examples: deep networks are slow.
EXACT: dict[str, tuple[dict[str, Any], int]] = {
    "fcn32s": ({"name": "fcn32s", **SMALL}, 2),
    "fcn8s": ({"name": "fcn8s", "head": "scores", **SMALL}, 2),
    "fcn4s": ({"name": "fcn4s", **SMALL}, 2),
    "fcn4s-light": ({"name": "fcn4s", "head_channels": 8}, 1),
    "fcn4s-context": ({"name": "fcn4s", "global_context": True, **SMALL}, 2),
    "fcn32s-vgg16": ({"name": "fcn32s-vgg16", "width": 2}, 2),
    "fcn16s-vgg16": ({"name": "fcn16s-vgg16", "width": 2}, 2),
    "fcn8s-vgg16": ({"name": "fcn8s-vgg16", "width": 2}, 2),
    "fcn8s-at-once": ({"name": "fcn8s-vgg16-at-once", "width": 2, "upsampling": "learned"}, 2),
    "fcn32s-1x1": ({"name": "fcn32s-vgg16", "width": 2, "fc6": "1x1"}, 2),
    "fcn8s-1x1": ({"name": "fcn8s-vgg16", "width": 2, "fc6": "1x1", "upsampling": "learned"}, 2),
    "fcn-decoder": ({"name": "fcn-decoder", "backbone": "vgg13", "width": 2}, 2),
    "segnet": ({"name": "segnet", "width": 2}, 2),
    "segnet-basic": ({"name": "segnet-basic", "width": 4}, 2),
    "unet": ({"name": "unet", "width": 2}, 2),
    "unet-sum": ({"name": "unet", "width": 2, "skip": "sum"}, 1),
    "unet-padded": ({"name": "unet-padded", "width": 4, "backbone": "test_resnet"}, 2),
    "deeplabv3": ({"name": "deeplabv3", **SMALL}, 2),
    "deeplabv3-stride8": ({"name": "deeplabv3", "output_stride": 8, **SMALL}, 2),
    "deeplabv3plus": ({"name": "deeplabv3plus", "separable": True, **SMALL}, 2),
    "torchvision-fcn": ({"name": "fcn_resnet50"}, 1),
    "torchvision-deeplab": ({"name": "deeplabv3_resnet50"}, 1),
}
WHOLE = {
    "squeeze-excite": {"name": "fcn8s", "backbone": "mobilenetv3_small_050", "head_channels": 8},
    "torchvision-mobilenet": {"name": "deeplabv3_mobilenet_v3_large"},
}


def made(options: dict[str, Any]) -> Model:
    """A model whose scores differ from pixel to pixel, and whose layers matter."""
    torch.manual_seed(0)
    config = network_config({"classes": CLASSES, **options})
    network = build(config).eval()
    if isinstance(config, TorchvisionConfig):
        narrow(network)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                taps = module.weight[0].numel()
                if isinstance(module, nn.ConvTranspose2d):
                    taps = module.weight[:, 0].numel() / module.stride[0] ** 2
                module.weight.normal_(std=(2 / taps) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_(std=0.1)
            elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(std=0.1)
    labels = LabelSpace.of(["a", "b", "c"])
    return Model(network, labels, Preprocessing(), torch.device("cpu"))


def narrow(network: nn.Module) -> None:
    """A sixteenth of the channels of a torchvision network, in place; its geometry stays."""

    def fewer(channels: int) -> int:
        return channels if channels in (3, CLASSES) else max(channels // 16, 1)

    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                grouped = child.groups > 1
                before, after = fewer(child.in_channels), fewer(child.out_channels)
                new: nn.Module = nn.Conv2d(
                    before,
                    after,
                    child.kernel_size,  # type: ignore[arg-type]
                    child.stride,  # type: ignore[arg-type]
                    child.padding,  # type: ignore[arg-type]
                    child.dilation,  # type: ignore[arg-type]
                    before if grouped else 1,
                    child.bias is not None,
                )
                setattr(parent, name, new)
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, type(child)(fewer(child.num_features)))
    network.eval()


_MODELS: dict[str, Model] = {}


def model_of(name: str) -> Model:
    if name not in _MODELS:
        _MODELS[name] = made({**{key: value[0] for key, value in EXACT.items()}, **WHOLE}[name])
    return _MODELS[name]


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def assert_agrees(model: Model, image: np.ndarray, tile: tuple[int, int], batch: int) -> None:
    """Scores within 1e-4 of the whole image's, and its mask but where two scores are as near."""
    whole = model.views([image.transpose(2, 0, 1)], names=["image"])[0].logits()
    scale = float(whole.std())
    tiler = Tiler.of(model)
    plan = tiler.plan(image.shape[:2], tile)
    assert len(plan) > 1
    assert tiler.geometry.inexact_layer is None

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[top : top + height, left : left + width].transpose(2, 0, 1)

    mask = np.full(image.shape[:2], CLASSES)
    for one, score_map in tiler.scores(plan, read, batch_size=batch):
        top, left, height, width = one.core
        part = slice(top, top + height), slice(left, left + width)
        assert score_map.size == (height, width)
        within = 1e-4 * max(scale, 1)
        found = score_map.logits()
        torch.testing.assert_close(found, whole[:, :, *part], rtol=0, atol=within)
        mask[part] = found[0].argmax(0).numpy()
    best = whole[0].topk(2, dim=0).values
    clear = (best[0] - best[1] > 2e-4 * max(scale, 1)).numpy()
    expected = whole[0].argmax(0).numpy()
    assert clear.mean() > 0.9, "the scores do not tell classes apart"
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(mask[clear], expected[clear])
