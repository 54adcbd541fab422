"""torchvision's networks against torchvision's, with the same random weights."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torchvision.models import segmentation

from perpixel.networks import build, network_config
from perpixel.networks.torchvision_networks import Name

NAMES = get_args(Name)


@pytest.mark.parametrize("name", NAMES)
def test_every_pixel_is_torchvisions(name: str) -> None:
    make = getattr(segmentation, name)
    theirs = make(weights=None, weights_backbone=None, num_classes=4, aux_loss=False).eval()
    network = build(network_config({"name": name, "classes": 4})).eval()
    network.load_state_dict(theirs.state_dict())
    for size in [(1, 1), (37, 61), (150, 211)]:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = theirs(images)["out"]
            scored = network(images)
            found = scored.logits()
        assert scored.stride == (size[0] / scored.scores.shape[2], size[1] / scored.scores.shape[3])
        assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large"])
@pytest.mark.parametrize("bands", [1, 5])
def test_any_number_of_bands_is_taken(name: str, bands: int) -> None:
    network = build(network_config({"name": name, "classes": 2, "bands": bands})).eval()
    assert network(torch.randn(1, bands, 33, 40)).size == (33, 40)


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_that_sees_the_whole_image_is_named(name: str) -> None:
    with torch.device("meta"):
        network = build(network_config({"name": name, "classes": 2}))
    assert (network.whole_image_layer is None) == name.startswith("fcn")
    if network.whole_image_layer is not None:
        pooling = network.get_submodule(network.whole_image_layer)
        assert isinstance(pooling, torch.nn.AdaptiveAvgPool2d)
