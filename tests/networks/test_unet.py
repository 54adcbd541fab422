"""U-Net: the original's sizes, parameters and mirror, and the padded form's levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from perpixel.errors import ConfigError
from perpixel.networks.unet import (
    PaddedUNet,
    PaddedUNetConfig,
    UNet,
    UNetConfig,
    build_unet,
)


def original(**options: object) -> UNet:
    values = {"classes": 2, "bands": 1, "width": 2, **options}
    network = build_unet(UNetConfig.model_validate(values))
    assert isinstance(network, UNet)
    return network.eval()


def padded(**options: object) -> PaddedUNet:
    values = {"classes": 3, "backbone": "test_resnet", "width": 4, **options}
    network = build_unet(PaddedUNetConfig.model_validate(values))
    assert isinstance(network, PaddedUNet)
    return network.eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_core_maps_572_to_388() -> None:
    with torch.no_grad():
        assert original().forward_scores(torch.randn(1, 1, 572, 572)).shape == (1, 2, 388, 388)
        assert original().forward_scores(torch.randn(1, 1, 188, 204)).shape == (1, 2, 4, 20)


def test_the_original_has_the_parameters_of_the_papers_figure() -> None:
    def layers() -> Iterator[tuple[int, int, int]]:
        """Channels in, channels out and kernel of figure 1's 23 convolutions."""
        yield from [(1, 64, 3), (64, 64, 3)]
        for width in (128, 256, 512, 1024):
            yield from [(width // 2, width, 3), (width, width, 3)]
        for width in (512, 256, 128, 64):
            yield from [(2 * width, width, 2), (2 * width, width, 3), (width, width, 3)]
        yield (64, 2, 1)

    assert len(list(layers())) == 23
    expected = sum(before * after * kernel**2 + after for before, after, kernel in layers())
    assert expected == 31_030_658
    with torch.device("meta"):
        assert parameters(UNet(classes=2, bands=1)) == expected


@pytest.mark.parametrize("join", ["concatenate", "sum"])
def test_the_original_is_the_papers_layers_in_their_order(join: str) -> None:
    network = original(skip=join, width=3)
    weights = network.state_dict()

    def pair(features: torch.Tensor, name: str) -> torch.Tensor:
        for layer in (0, 2):
            weight, bias = weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"]
            features = F.conv2d(features, weight, bias).relu()
        return features

    images = torch.randn(1, 1, 188, 220)
    with torch.no_grad():
        features, skips = images, []
        for level in range(5):
            features = pair(features, f"contract.{level}")
            skips.append(features)
            if level < 4:
                features = F.max_pool2d(features, 2)
        for step in range(4):
            up = f"expand.up.{step}"
            features = F.conv_transpose2d(
                features, weights[f"{up}.weight"], weights[f"{up}.bias"], stride=2
            )
            skip = skips[3 - step]
            crop = (skip.shape[2] - features.shape[2]) // 2
            skip = skip[:, :, crop:-crop, crop:-crop]
            joined = torch.cat((skip, features), 1) if join == "concatenate" else skip + features
            features = pair(joined, f"expand.refine.{step}")
        expected = F.conv2d(features, weights["classify.weight"], weights["classify.bias"])
        found = network.forward_scores(images)
    assert crop == 88  # figure 1: 568 is cropped to 392
    torch.testing.assert_close(found, expected)


@given(pixels=st.integers(1, 300))
def test_the_mirror_shows_the_image_as_numpy_does(pixels: int) -> None:
    places = original().canvas.places(pixels)
    covered = len(places) - 184
    assert covered >= pixels
    assert (covered - 4) % 16 == 0
    assert covered - pixels < 16
    expected = np.pad(np.arange(pixels), (92, 92 + covered - pixels), mode="reflect")
    assert np.array_equal(places.numpy(), expected)


@pytest.mark.parametrize("size", [(1, 1), (2, 61), (53, 37)])
def test_any_size_is_mirrored_and_scored_at_every_pixel(size: tuple[int, int]) -> None:
    network = original()
    image = torch.randn(1, 1, *size)
    rows, columns = ((-(pixels - 4)) % 16 if pixels > 4 else 4 - pixels for pixels in size)
    surrounded = np.pad(
        image.numpy(), ((0, 0), (0, 0), (92, 92 + rows), (92, 92 + columns)), mode="reflect"
    )
    with torch.no_grad():
        scored = network(image)
        expected = network.forward_scores(torch.from_numpy(surrounded))
    assert (scored.size, scored.stride, scored.offset) == (size, (1.0, 1.0), (0.0, 0.0))
    torch.testing.assert_close(scored.scores, expected)
    assert torch.equal(scored.logits(), expected[:, :, : size[0], : size[1]])


def test_the_same_part_of_an_image_has_the_same_scores_wherever_the_image_ends() -> None:
    network = original(width=2)
    image = torch.randn(1, 1, 230, 20)
    with torch.no_grad():
        whole = network(image).logits()
        lower = network(image[:, :, 16:]).logits()
    # 92 pixels from the cut, and up to 15 more for a place's phase on the grid, no mirror is seen.
    torch.testing.assert_close(lower[:, :, 107:], whole[:, :, 123:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("join", ["concatenate", "sum"])
def test_the_padded_form_has_scores_of_its_finest_level(stride: int, join: str) -> None:
    network = padded(stride=stride, skip=join, bands=5)
    assert (network.grid, network.stride) == (32, stride)
    for height, width in [(1, 1), (45, 70)]:
        scored = network(torch.randn(1, 5, height, width))
        cells = tuple(-(-pixels // 32) * 32 // stride for pixels in (height, width))
        assert scored.scores.shape == (1, 3, *cells)
        assert (scored.size, scored.stride) == ((height, width), (stride, stride))


def test_sum_and_concatenation_differ_only_where_they_join() -> None:
    sums, joined = padded(skip="sum"), padded(skip="concatenate")
    names = {name for name in joined.state_dict() if not name.startswith("expand.")}
    assert names == {name for name in sums.state_dict() if not name.startswith("expand.")}
    assert [up.weight.shape for up in sums.expand.up] == [
        up.weight.shape for up in joined.expand.up
    ]
    assert parameters(sums) < parameters(joined)


@pytest.mark.parametrize("join", ["concatenate", "sum"])
@pytest.mark.parametrize("form", [original, padded])
def test_the_gradient_reaches_every_parameter(form: type, join: str) -> None:
    network = form(skip=join, width=4, bands=3).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # a residual block's last one is zero
    scores = network(torch.randn(2, 3, 64, 40)).scores
    (scores * torch.randn_like(scores)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def test_a_backbone_without_fine_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="convnext_atto"):
        padded(backbone="convnext_atto", stride=2)
    assert padded(backbone="test_convnext", stride=4).stride == 4
