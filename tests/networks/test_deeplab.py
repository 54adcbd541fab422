"""DeepLabv3 and v3+: dilations, parameters and arithmetic against torchvision's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from perpixel.errors import ConfigError
from perpixel.networks.atrous import AtrousPyramid, PooledBatchNorm2d
from perpixel.networks.deeplab import DeepLabConfig, DeepLabV3, DeepLabV3Plus, build_deeplab


def built(**options: object) -> DeepLabV3 | DeepLabV3Plus:
    values = {"classes": 3, "backbone": "test_resnet", "head_channels": 8, **options}
    return build_deeplab(DeepLabConfig.model_validate(values)).eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def dilations(module: torch.nn.Module) -> list[int]:
    """Of the 3×3 convolutions, in their order."""
    return [
        layer.dilation[0]
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3)
    ]


def test_the_scores_are_torchvisions_with_the_same_weights() -> None:
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=7).eval()
    ours = built(
        name="deeplabv3", backbone="resnet50", classes=7, output_stride=8, multi_grid=False,
        head_channels=256,
    )  # fmt: skip
    assert parameters(ours) == parameters(theirs)
    with torch.no_grad():
        for tensor in theirs.state_dict().values():
            if tensor.ndim == 1:
                tensor += 0.2 * torch.rand(tensor.shape)
        # The same layers in the same order under other names.
        backbone = dict(zip(ours.backbone.state_dict(), theirs.backbone.state_dict().values(),
                            strict=True))  # fmt: skip
        ours.backbone.load_state_dict(backbone)
        own = {n: t for n, t in ours.state_dict().items() if not n.startswith("backbone.")}
        head = dict(zip(own, theirs.classifier.state_dict().values(), strict=True))
        ours.load_state_dict(head, strict=False)
        images = torch.randn(1, 3, 48, 56)
        found, expected = ours(images), theirs(images)["out"]
    assert (found.stride, found.offset) == ((8.0, 8.0), (0.0, 0.0))
    torch.testing.assert_close(found.logits(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("output_stride", "rate"), [(16, 2), (8, 4)])
def test_the_last_stage_has_the_papers_multi_grid(output_stride: int, rate: int) -> None:
    with torch.device("meta"):
        head = AtrousPyramid(8, 8, (1, 2))
    assert dilations(head) == [1, 2]
    network = built(backbone="resnet34", output_stride=output_stride)
    last = network.backbone.pyramid.layer4
    assert dilations(last) == [rate, rate, 2 * rate, 2 * rate, 4 * rate, 4 * rate]
    doubling = 16 // output_stride
    assert dilations(network.atrous) == [6 * doubling, 12 * doubling, 18 * doubling]
    plain = built(backbone="resnet34", output_stride=output_stride, multi_grid=False)
    assert dilations(plain.backbone.pyramid.layer4)[1:] == [rate] * 5


@pytest.mark.parametrize("output_stride", [8, 16])
def test_features_keep_the_output_stride_and_their_places(output_stride: int) -> None:
    """With the strides and dilations of a convolution changed, and nothing else, the atrous
    network computes on a fine grid what the plain one computes on every other cell of it."""
    plain = built(backbone="resnet18", output_stride=16, multi_grid=False).backbone
    atrous = built(backbone="resnet18", output_stride=8, multi_grid=False).backbone
    atrous.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        coarse, fine = plain(images)[16], atrous(images)[8]
    torch.testing.assert_close(fine[:, :, ::2, ::2], coarse, rtol=1e-4, atol=1e-4)
    assert built(output_stride=output_stride).grid == output_stride


def test_the_decoder_of_v3plus_has_the_papers_sizes() -> None:
    def norm(width: int) -> int:
        return 2 * width

    network = built(backbone="resnet50", classes=21, head_channels=256)
    expected = (
        256 * 48 + norm(48)
        + 9 * 304 * 256 + norm(256)
        + 9 * 256 * 256 + norm(256)
        + 256 * 21 + 21
    )  # fmt: skip
    decoder = [network.low_level, network.refine, network.classify]
    assert sum(map(parameters, decoder)) == expected
    separable = built(backbone="resnet50", classes=21, head_channels=256, separable=True)
    assert parameters(separable.refine) == (
        9 * 304 + norm(304) + 304 * 256 + norm(256) + 9 * 256 + norm(256) + 256 * 256 + norm(256)
    )
    assert parameters(separable.atrous) < parameters(network.atrous)
    assert dilations(separable.atrous) == [6, 12, 18]


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(
    ("name", "output_stride", "stride"),
    [("deeplabv3", 8, 8), ("deeplabv3", 16, 16), ("deeplabv3plus", 8, 4), ("deeplabv3plus", 16, 4)],
)
def test_any_size_is_scored(name: str, output_stride: int, stride: int, separable: bool) -> None:
    network = built(name=name, output_stride=output_stride, bands=2, separable=separable)
    assert (network.grid, network.stride) == (output_stride, stride)
    assert network.whole_image_layer in dict(network.named_modules())
    for height, width in [(1, 1), (37, 65)]:
        scored = network(torch.randn(1, 2, height, width))
        cells = tuple(
            -(-pixels // output_stride) * output_stride // stride for pixels in (height, width)
        )
        assert scored.scores.shape == (1, 3, *cells)
        assert (scored.size, scored.stride) == ((height, width), (stride, stride))


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("separable", [False, True])
def test_the_gradient_reaches_every_parameter(name: str, separable: bool) -> None:
    network = built(name=name, separable=separable).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # a residual block's last one is zero
    scores = network(torch.randn(2, 3, 224, 288)).scores
    (scores * torch.randn_like(scores)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.any()), key


def test_the_pooled_norm_is_batch_norm_except_for_one_image() -> None:
    pooled, plain = PooledBatchNorm2d(5), torch.nn.BatchNorm2d(5)
    several = torch.randn(3, 5, 1, 1)
    torch.testing.assert_close(pooled(several), plain(several))
    torch.testing.assert_close(pooled.running_var, plain.running_var)
    one = torch.randn(1, 5, 1, 1)
    torch.testing.assert_close(pooled(one), plain.eval()(one))
    torch.testing.assert_close(pooled.running_var, plain.running_var)
    with pytest.raises(ValueError, match="more than 1 value"):
        plain.train()(one)


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
def test_a_batch_of_one_can_be_trained_on(name: str) -> None:
    built(name=name).train()(torch.randn(1, 3, 60, 90)).scores.sum().backward()


def test_other_backbones_dilate_without_a_multi_grid() -> None:
    options: dict[str, Any] = {"backbone": "efficientnet_lite0", "output_stride": 16}
    with pytest.raises(ConfigError, match="multi_grid"):
        built(**options, multi_grid=True)
    network = built(**options)
    assert network(torch.randn(1, 3, 40, 50)).scores.shape[2:] == (12, 16)


def test_a_backbone_that_cannot_be_dilated_is_refused() -> None:
    with pytest.raises(ConfigError, match="vgg11"):
        built(backbone="vgg11", multi_grid=False)
