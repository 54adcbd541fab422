"""Classifiers made fully convolutional, against the classifiers themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.vgg import VGG, make_layers

from perpixel.errors import ConfigError
from perpixel.networks.convolutionalize import convolutionalize, own_size
from perpixel.networks.patches import agreement, patchwise
from perpixel.networks.walk import walk


def narrow_vgg() -> nn.Module:
    """torchvision's VGG11 with few channels."""
    plan: list[str | int] = [4, "M", 6, "M", 8, 8, "M", 8, 8, "M", 8, 8, "M"]
    network = VGG(make_layers(plan), num_classes=5)  # type: ignore[arg-type]
    network.classifier[0] = nn.Linear(8 * 49, 16)
    network.classifier[3] = nn.Linear(16, 16)
    network.classifier[6] = nn.Linear(16, 5)
    return lively(network)


def resnet() -> nn.Module:
    return lively(torchvision.models.resnet18(num_classes=5))


def lively(network: nn.Module) -> nn.Module:
    """Random statistics and weights that let a signal through: a forgotten layer would show."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return network.eval()


def of_timm(name: str) -> Callable[[], nn.Module]:
    return lambda: lively(timm.create_model(name, num_classes=5))


CLASSIFIERS = {
    "torchvision VGG": narrow_vgg,
    "torchvision AlexNet": lambda: lively(torchvision.models.alexnet(num_classes=5)),
    "torchvision ResNet": resnet,
    "torchvision MobileNet v2": lambda: lively(torchvision.models.mobilenet_v2(num_classes=5)),
    "timm ResNet": of_timm("resnet10t"),
    "timm MobileNet v3": of_timm("mobilenetv3_small_050"),
    "timm EfficientNet": of_timm("test_efficientnet"),
}


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    scale = expected.abs().max().item()
    assert scale > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.no_grad()
def test_on_its_own_size_the_output_is_the_classifiers(name: str) -> None:
    classifier = CLASSIFIERS[name]()
    dense = convolutionalize(classifier)
    images = torch.randn(1, 3, *dense.window)
    assert dense.window == own_size(classifier)
    scores = dense(images).scores
    assert scores.shape == (1, 5, 1, 1)
    close(scores[:, :, 0, 0], classifier(images))


@torch.no_grad()
def test_without_padding_every_cell_of_vgg_is_the_classifier_on_its_window() -> None:
    classifier = narrow_vgg()
    dense = convolutionalize(classifier, padding=False)
    # The reference: torchvision's own forward pass, with its convolutions' padding set to 0.
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
    assert dense.stride == 32
    height, width = dense.window
    images = torch.randn(1, 3, height + 64 + 5, width + 32 + 9)
    scores = dense(images).scores
    assert scores.shape == (1, 5, 3, 2)
    close(scores, patchwise(classifier, images, 32, size=dense.window))


@torch.no_grad()
def test_without_padding_every_cell_of_a_resnet_is_its_own_window() -> None:
    classifier = lively(timm.create_model("resnet10t", num_classes=5))
    dense = convolutionalize(classifier, size=(64, 64), padding=False)
    height, width = dense.window
    images = torch.randn(1, 3, height + 32, width + 64)
    scores = dense(images).scores
    assert scores.shape == (1, 5, 2, 3)
    for row in range(2):
        for column in range(3):
            window = images[..., 32 * row :, 32 * column :][..., :height, :width]
            alone = dense(window).scores
            assert alone.shape == (1, 5, 1, 1)
            close(scores[:, :, row, column], alone[:, :, 0, 0])


@torch.no_grad()
def test_without_padding_the_cells_are_those_that_padding_does_not_reach() -> None:
    # The reference: the padded network's features far from the border, pooled and classified.
    classifier = lively(timm.create_model("resnet10t", num_classes=5))
    dense = convolutionalize(classifier, size=(64, 64), padding=False)
    height, width = dense.window
    pooled = nn.Sequential(Features(classifier), nn.AvgPool2d(2, 1))
    (first, _), (own, _) = (
        walk(network, (1024, 1280)).scores.spans["y"].sees(0) or (0, 0)
        for network in (pooled, dense)
    )
    cell, around = 8, 32 * 8 + first - own  # where the padded cell begins to see
    images = torch.randn(1, 3, height + around + 256, width + around + 256)
    inner = dense(images[..., around : around + height, around : around + width]).scores
    close(inner[:, :, 0, 0], classifier.fc(pooled(images)[:, :, cell, cell]))


class Features(nn.Module):
    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier.forward_features(images)  # type: ignore[no-any-return,operator]


@torch.no_grad()
def test_agreement_is_full_without_padding_and_measured_with_it() -> None:
    classifier = narrow_vgg()
    padded = convolutionalize(classifier)
    measured = agreement(classifier, padded, torch.randn(1, 3, 288, 256))
    assert measured.cells == 6
    assert 1e-4 < measured.relative < 1.5
    assert measured.largest > 0
    plain = convolutionalize(classifier, padding=False)
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
    exact = agreement(classifier, plain, torch.randn(1, 3, plain.window[0], plain.window[1] + 32))
    assert exact.cells == 2
    assert exact.relative < 1e-4
    assert exact.same_class == 1


@torch.no_grad()
def test_a_larger_own_size_keeps_the_classifiers_pooling() -> None:
    # At 448×448 torchvision's VGG averages 14×14 cells to 7×7: the kernel becomes a dilated one.
    classifier = narrow_vgg()
    dense = convolutionalize(classifier, size=(448, 448))
    images = torch.randn(1, 3, 448, 448)
    close(dense(images).scores[:, :, 0, 0], classifier(images))


@torch.no_grad()
def test_any_size_gives_a_score_map_and_the_classifier_stays_as_it_was() -> None:
    classifier = narrow_vgg().train()
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    dense = convolutionalize(classifier)
    assert classifier.training
    assert all(before[name].equal(tensor) for name, tensor in classifier.state_dict().items())
    for height, width in ((1, 1), (225, 300)):
        logits = dense(torch.randn(1, 3, height, width)).logits()
        assert logits.shape == (1, 5, height, width)
        assert logits.isfinite().all()


def test_a_gate_that_sees_the_whole_image_is_named() -> None:
    dense = convolutionalize(timm.create_model("mobilenetv3_small_050", num_classes=5))
    assert (dense.whole_image_layer or "").startswith("blocks.0.0.se")
    assert convolutionalize(narrow_vgg()).whole_image_layer is None


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(196, 2)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4)),
        nn.Sequential(nn.Flatten(), nn.Linear(3, 4)),
    ],
    ids=["no head", "uneven pooling", "another layer in the head", "no convolution"],
)
def test_a_network_of_another_kind_is_refused(network: nn.Module) -> None:
    with pytest.raises(ConfigError, match="classifier"):
        convolutionalize(network, size=(32, 32))


def test_windows_larger_than_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="windows of 224×224"):
        patchwise(nn.Flatten(), torch.zeros(1, 3, 200, 300), 32)
