"""The paper's networks against the paper's layers, written out as they were published."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perpixel.networks import Network, PaperFCNConfig, build
from perpixel.networks.bilinear import bilinear_weight, is_bilinear

WIDTH = 4
STAGED = ("fcn32s-vgg16", "fcn16s-vgg16", "fcn8s-vgg16")
ALL = (*STAGED, "fcn8s-vgg16-at-once")
SIZES = [(1, 1), (33, 47), (129, 70), (257, 390)]


def shaken(name: str, **options: object) -> Network:
    """A narrow copy with nothing at zero; the upsamplings stay bilinear where they are fixed."""
    values = {"name": name, "classes": 3, "width": WIDTH, **options}
    network = build(PaperFCNConfig.model_validate(values)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter) * 0.05
    return network


def vgg(w: dict[str, torch.Tensor], images: torch.Tensor, pad: int) -> dict[int, torch.Tensor]:
    """VGG16 with every layer named, as in the published prototxt."""
    pools, x = {}, images
    for stage, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, depth + 1):
            layer = f"conv{stage}_{number}"
            padding = pad if layer == "conv1_1" else 1
            x = F.relu(F.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], padding=padding))
        pools[stage] = x = nn.MaxPool2d(2, stride=2, ceil_mode=True)(x)
    x = F.relu(F.conv2d(x, w["fc6.weight"], w["fc6.bias"]))
    x = F.relu(F.conv2d(x, w["fc7.weight"], w["fc7.bias"]))
    pools[7] = F.conv2d(x, w["score_fr.weight"], w["score_fr.bias"])
    return pools


def up(w: dict[str, torch.Tensor], name: str, x: torch.Tensor, stride: int, padding: int = 0
) -> torch.Tensor:  # fmt: skip
    """A transposed convolution with the network's weight, or a bilinear one."""
    weight = w.get(f"{name}.weight", bilinear_weight(3, 2 * stride))
    return F.conv_transpose2d(x, weight, stride=stride, padding=padding)


def cropped(x: torch.Tensor, start: int, like: torch.Tensor) -> torch.Tensor:
    """From row and column `start` on, as large as `like`."""
    rows, columns = like.shape[2:]
    found = x[:, :, start : start + rows, start : start + columns]
    assert found.shape[2:] == like.shape[2:]
    return found


def published(name: str, w: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """The four networks with 7×7 fc6, with full transposed convolutions and crops."""
    pools = vgg(w, images, 100)
    score = pools[7]
    if name == "fcn32s-vgg16":
        return cropped(up(w, "upscore", score, 32), 19, images)
    four, three = (0.01, 0.0001) if name.endswith("at-once") else (1.0, 1.0)
    score = up(w, "upscore2", score, 2)
    skip = F.conv2d(pools[4] * four, w["score_pool4.weight"], w["score_pool4.bias"])
    score = score + cropped(skip, 5, score)
    if name == "fcn16s-vgg16":
        return cropped(up(w, "upscore16", score, 16), 27, images)
    score = up(w, "upscore_pool4", score, 2)
    skip = F.conv2d(pools[3] * three, w["score_pool3.weight"], w["score_pool3.bias"])
    score = score + cropped(skip, 9, score)
    return cropped(up(w, "upscore8", score, 8), 31, images)


def simplified(name: str, w: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """The three networks with 1×1 fc6: padded transposed convolutions, all crops at 0."""
    pools = vgg(w, images, 1)
    score = pools[7]
    if name == "fcn32s-vgg16":
        return cropped(up(w, "upscore", score, 32, 16), 0, images)
    skip = F.conv2d(pools[4], w["score_pool4.weight"], w["score_pool4.bias"])
    score = cropped(up(w, "upscore2", score, 2, 1), 0, skip) + skip
    if name == "fcn16s-vgg16":
        return cropped(up(w, "upscore16", score, 16, 8), 0, images)
    skip = F.conv2d(pools[3], w["score_pool3.weight"], w["score_pool3.bias"])
    score = cropped(up(w, "upscore_pool4", score, 2, 1), 0, skip) + skip
    return cropped(up(w, "upscore8", score, 8, 4), 0, images)


def compare(network: Network, expected: torch.Tensor, images: torch.Tensor) -> None:
    with torch.no_grad():
        found = network(images).logits()
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("upsampling", ["fixed", "learned-inner", "learned"])
@pytest.mark.parametrize("name", ALL)
def test_every_pixel_is_the_published_networks(name: str, upsampling: str) -> None:
    network = shaken(name, upsampling=upsampling)
    for size in SIZES:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = published(name, network.state_dict(), images)
        compare(network, expected, images)


@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
@pytest.mark.parametrize("name", STAGED)
def test_every_pixel_is_the_simplified_networks(name: str, upsampling: str) -> None:
    network = shaken(name, fc6="1x1", upsampling=upsampling)
    for size in [*SIZES, (64, 96), (65, 97)]:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = simplified(name, network.state_dict(), images)
        compare(network, expected, images)


@pytest.mark.parametrize(
    ("name", "stride", "offset"),
    [
        ("fcn32s-vgg16", 32, 1 + 3 / 32),
        ("fcn16s-vgg16", 16, 19 / 16),
        ("fcn8s-vgg16", 8, 27 / 8),
        ("fcn8s-vgg16-at-once", 8, 27 / 8),
    ],
)
def test_the_crops_are_offsets(name: str, stride: int, offset: float) -> None:
    scored = shaken(name)(torch.randn(1, 3, 40, 50))
    assert scored.stride == (stride, stride)
    assert scored.offset == (offset, offset)


def test_names_and_shapes_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        network = build(PaperFCNConfig(name="fcn8s-vgg16", classes=21))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["fc6.weight"] == (4096, 512, 7, 7)
    assert shapes["fc7.weight"] == (4096, 4096, 1, 1)
    assert shapes["score_pool3.weight"] == (21, 256, 1, 1)
    assert shapes["upscore_pool4.weight"] == (21, 21, 4, 4)
    assert "upscore8.weight" not in shapes
    vgg16 = 14_714_688 + (512 * 49 + 1) * 4096 + (4096 + 1) * 4096
    scores = 21 * (4096 + 1 + 512 + 1 + 256 + 1) + 2 * 21**2 * 16
    assert sum(value.numel() for value in network.state_dict().values()) == vgg16 + scores


@pytest.mark.parametrize(
    ("upsampling", "learned"),
    [
        ("fixed", set()),
        ("learned-inner", {"upscore2.weight", "upscore_pool4.weight"}),
        ("learned", {"upscore2.weight", "upscore_pool4.weight", "upscore8.weight"}),
    ],
)
def test_training_changes_the_upsamplings_that_are_to_be_learned(
    upsampling: str, learned: set[str]
) -> None:
    network = shaken("fcn8s-vgg16", upsampling=upsampling)
    network(torch.randn(1, 3, 20, 30)).scores.square().sum().backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None}
    assert {name for name in moved if name.startswith("up")} == learned


def test_a_bilinear_weight_interpolates_and_is_recognised() -> None:
    weight = bilinear_weight(2, 8)
    ramp = torch.arange(5.0).expand(1, 2, 5, 5)
    found = F.conv_transpose2d(ramp, weight, stride=4)[0, 0, 12, 6:18]
    torch.testing.assert_close(found, torch.linspace(0.625, 3.375, 12), rtol=0, atol=1e-5)
    assert is_bilinear(weight.half())
    assert not is_bilinear(weight + 0.01)
    assert not is_bilinear(torch.randn(2, 1, 8, 8))
