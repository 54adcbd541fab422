"""The feature pyramid against timm's and torchvision's own."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torchvision.models import vgg

from perpixel.errors import ConfigError
from perpixel.networks.backbone import Backbone


def test_efficientnet_lite_computes_what_timms_does_under_its_names() -> None:
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    ours = Backbone("efficientnet_lite0", finest=2).eval()
    ours.pyramid.load_state_dict(theirs.state_dict())
    assert not any(isinstance(module, Conv2dSame) for module in ours.modules())
    images = torch.randn(1, 3, 96, 160)
    with torch.no_grad():
        for found, expected in zip(ours(images).values(), theirs(images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert ours.channels == {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}


def test_vggs_features_are_what_its_poolings_put_out() -> None:
    layers = vgg.make_layers(vgg.cfgs["A"], batch_norm=False).eval()
    ours = Backbone("vgg11", finest=2).eval()
    ours.pyramid.load_state_dict({f"features.{k}": v for k, v in layers.state_dict().items()})
    images = features = torch.randn(1, 3, 64, 96)
    pools = []
    with torch.no_grad():
        for layer in layers:
            features = layer(features)
            if isinstance(layer, torch.nn.MaxPool2d):
                pools.append(features)
        found = ours(images)
    assert list(found) == [2, 4, 8, 16, 32]
    for ours_, theirs in zip(found.values(), pools, strict=True):
        torch.testing.assert_close(ours_, theirs)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_features_have_the_stated_channels_and_strides(name: str) -> None:
    backbone = Backbone(name, bands=2, finest=8).eval()
    features = backbone(torch.randn(1, 2, 128, 64))
    assert list(features) == list(backbone.channels) == [8, 16, 32]
    for stride, feature in features.items():
        assert feature.shape == (1, backbone.channels[stride], 128 // stride, 64 // stride)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("test_resnet", None),
        ("test_convnext", None),
        ("test_efficientnet", "se"),
        ("convnextv2_atto", "grn"),
        ("eca_resnext26ts", "attn"),
        ("poolformer_s12", "norm1"),
    ],
)
def test_layers_that_see_the_whole_image_are_found(name: str, layer: str | None) -> None:
    found = Backbone(name).whole_image_layer
    assert (found is None) == (layer is None)
    assert layer is None or (found is not None and layer in found.split("."))


def test_making_a_backbone_leaves_no_trace_of_the_look_at_it() -> None:
    backbone = Backbone("test_resnet")
    assert backbone.training
    assert not any(module._forward_hooks for module in backbone.modules())
    assert all(
        int(module.num_batches_tracked) == 0
        for module in backbone.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    )


def test_a_misspelt_name_is_answered_with_close_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'effcientnet_lite0'\. Use efficientnet_lite0"
    ) as caught:
        Backbone("effcientnet_lite0")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="list_models"):
        Backbone("qqqqqqqq")


@pytest.mark.parametrize("name", ["test_vit", "efficientformerv2_s0"])
def test_what_is_no_pyramid_for_any_size_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"backbone {name}: ") as caught:
        Backbone(name)
    assert "\n" not in str(caught.value)
