"""What every network must do, whatever its architecture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import get_args

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from perpixel.networks import FCNConfig, Network, NetworkConfig, NetworkName, build, network_config
from perpixel.networks.config import TorchvisionConfig

STRIDES = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8, "fcn4s": 4}
SMALL = [
    FCNConfig(
        name=name, head=head, global_context=context, backbone="test_resnet", classes=3,
        head_channels=16,
    )
    for name, head, context in itertools.product(STRIDES, ["scores", "features"], [False, True])
]  # fmt: skip
OTHERS = [
    FCNConfig(backbone="efficientnet_lite0", classes=2),
    FCNConfig(backbone="mobilenetv3_small_050", name="fcn8s", head="scores", classes=5),
]
# The other architectures, in narrow copies where they have a width.
FAMILY: list[NetworkConfig] = [
    network_config({"classes": 3, **options})
    for options in (
        {"name": "fcn32s-vgg16", "width": 4},
        {"name": "fcn16s-vgg16", "width": 4, "upsampling": "learned-inner"},
        {"name": "fcn8s-vgg16", "width": 4},
        {"name": "fcn8s-vgg16-at-once", "width": 4, "upsampling": "learned"},
        {"name": "fcn32s-vgg16", "width": 4, "fc6": "1x1"},
        {"name": "fcn16s-vgg16", "width": 4, "fc6": "1x1", "upsampling": "learned-inner"},
        {"name": "fcn8s-vgg16", "width": 4, "fc6": "1x1", "upsampling": "learned"},
        {"name": "fcn-decoder", "backbone": "vgg13", "width": 8},
        {"name": "segnet", "width": 4},
        {"name": "segnet-basic", "width": 8},
        {"name": "unet", "width": 4},
        {"name": "unet", "width": 4, "skip": "sum"},
        {"name": "unet-padded", "width": 8, "backbone": "test_resnet"},
        {"name": "deeplabv3", "backbone": "test_resnet", "head_channels": 16},
        {"name": "deeplabv3", "backbone": "test_resnet", "head_channels": 16, "output_stride": 8},
        {"name": "deeplabv3plus", "backbone": "test_resnet", "head_channels": 16},
        {"name": "deeplabv3plus", "backbone": "test_resnet", "head_channels": 16,
         "separable": True, "multi_grid": False},
        {"name": "fcn_resnet50"},
        {"name": "fcn_resnet101"},
        {"name": "deeplabv3_resnet50"},
        {"name": "deeplabv3_resnet101"},
        {"name": "deeplabv3_mobilenet_v3_large"},
    )
]  # fmt: skip


def title(config: NetworkConfig) -> str:
    options = config.model_dump(exclude_defaults=True, exclude={"name", "classes"})
    return "-".join([config.name, *(f"{name}={value}" for name, value in options.items())])


every_fcn = pytest.mark.parametrize("config", SMALL + OTHERS, ids=title)
every_network = pytest.mark.parametrize("config", SMALL + OTHERS + FAMILY, ids=title)


def shaken(config: NetworkConfig, seed: int = 0) -> Network:
    """A network in eval mode with nothing at its starting value, zeros least of all.

    torchvision's start with no zero that matters, and are so deep that shaking makes them explode.
    """
    generator = torch.Generator().manual_seed(seed)
    network = build(config).eval()
    if isinstance(config, TorchvisionConfig):
        return network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.05
    return network


def test_every_architecture_is_here() -> None:
    assert {config.name for config in SMALL + FAMILY} == set(get_args(NetworkName))


@every_network
def test_an_image_of_any_size_and_bands_gets_scores_for_every_pixel(config: NetworkConfig) -> None:
    for bands in (1, 3, 5):
        network = shaken(config.model_copy(update={"bands": bands}))
        with torch.no_grad():
            for height, width in [(1, 1), (37, 65), (64, 96)]:
                scored = network(torch.randn(1, bands, height, width))
                logits = scored.logits()
                assert scored.size == (height, width)
                assert logits.shape == (1, config.classes, height, width)
                assert bool(logits.isfinite().all())
                assert len(logits.unique()) > 1


@every_fcn
def test_the_score_map_has_whole_cells(config: FCNConfig) -> None:
    network = shaken(config)
    stride = STRIDES[config.name]
    assert network.grid == 32
    with torch.no_grad():
        for height, width in [(1, 1), (37, 65), (64, 96)]:
            scored = network(torch.randn(1, config.bands, height, width))
            assert scored.size == (height, width)
            assert scored.stride == (stride, stride)
            assert scored.offset == (0.0, 0.0)
            rows, columns = (-(-pixels // 32) * 32 // stride for pixels in (height, width))
            assert scored.scores.shape == (1, config.classes, rows, columns)
            assert bool(scored.scores.isfinite().all())
            assert scored.logits().shape == (1, config.classes, height, width)


@every_network
def test_the_gradient_reaches_every_parameter(config: NetworkConfig) -> None:
    # Shaken: at their start some layers are zero and let nothing through.
    network = shaken(config).train()
    logits = network(torch.randn(2, config.bands, 64, 96)).logits()
    F.cross_entropy(logits, torch.randint(config.classes, (2, 64, 96))).backward()
    still = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    assert still == []


@pytest.mark.parametrize("config", [SMALL[1], SMALL[3], SMALL[-1], *OTHERS], ids=title)
def test_a_batch_of_one_can_be_trained_on(config: NetworkConfig) -> None:
    network = build(config).train()
    network(torch.randn(1, config.bands, 60, 90)).scores.sum().backward()


@every_network
def test_images_of_a_batch_do_not_see_each_other(config: NetworkConfig) -> None:
    network = shaken(config)
    images = torch.randn(2, config.bands, 45, 70)
    with torch.no_grad():
        together = network(images).scores
        alone = torch.cat([network(image[None]).scores for image in images])
    assert float((together - alone).abs().max()) <= 1e-3 * float(alone.abs().max())


@pytest.mark.parametrize("config", SMALL, ids=title)
def test_more_pixels_at_the_right_and_bottom_change_only_scores_near_them(
    config: FCNConfig,
) -> None:
    network = shaken(config)
    image = torch.randn(1, 3, 421, 437)
    image[:, :, 379:] += 10
    with torch.no_grad():
        whole = network(image).scores
        part = network(image[:, :, :379, :390]).scores
    # One cell at stride 32 from the corner is further than any receptive field reaches here.
    cells = 32 // STRIDES[config.name]
    near, far = whole[:, :, :cells, :cells], part[:, :, :cells, :cells]
    same = torch.allclose(near, far, rtol=0, atol=2e-5)
    assert same == (network.whole_image_layer is None)


@pytest.mark.parametrize("config", FAMILY, ids=title)
def test_what_is_far_away_changes_scores_where_a_layer_sees_the_whole_image(
    config: NetworkConfig,
) -> None:
    network = shaken(config).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # so that no signal dies out on the way
    with torch.no_grad():
        network(torch.randn(2, 3, 64, 96))
    network.eval()
    image = torch.randn(1, 3, 1100, 96)
    other = image.clone()
    other[:, :, 1000:] += 10
    with torch.no_grad():
        first, second = (network(images).scores[:, :, :1, :1] for images in (image, other))
    same = torch.equal(first, second)  # sums of the same numbers in the same order
    assert same == (network.whole_image_layer is None)


def test_a_layer_that_sees_the_whole_image_is_named() -> None:
    by_context = build(SMALL[1])
    assert by_context.whole_image_layer == "context"
    assert "context" in dict(by_context.named_modules())
    by_backbone = build(OTHERS[1])
    assert by_backbone.whole_image_layer in dict(by_backbone.named_modules())
    assert build(OTHERS[0]).whole_image_layer is None


@pytest.mark.parametrize("config", FAMILY, ids=title)
def test_channels_last_changes_nothing(config: NetworkConfig) -> None:
    network = shaken(config)
    images = torch.randn(2, 3, 50, 70)
    with torch.no_grad():
        expected = network(images).scores
        network = network.to(memory_format=torch.channels_last)
        found = network(images.to(memory_format=torch.channels_last)).scores
    assert float((found - expected).abs().max()) <= 1e-3 * float(expected.abs().max())


@pytest.mark.parametrize("config", [SMALL[-2], SMALL[-4], OTHERS[0]], ids=title)
def test_channels_last_stays_and_changes_nothing(config: FCNConfig) -> None:
    network = shaken(config)
    images = torch.randn(2, 3, 50, 70)
    with torch.no_grad():
        expected = network(images).scores
        network = network.to(memory_format=torch.channels_last)
        found = network(images.to(memory_format=torch.channels_last)).scores
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_bfloat16_comes_near() -> None:
    network = shaken(SMALL[-2])
    images = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        expected = network(images).scores
        with torch.autocast("cpu", torch.bfloat16):
            found = network(images).scores
    assert found.dtype == torch.bfloat16
    assert float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without run-time shape checks: while a graph is traced, a size is no int."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("config", [SMALL[-1], SMALL[0]], ids=title)
def test_it_exports_with_any_height_and_width(config: FCNConfig) -> None:
    network = shaken(config)
    height, width = torch.export.Dim("height", min=33), torch.export.Dim("width", min=33)
    with torch.no_grad():
        exported = torch.export.export(
            network, (torch.randn(1, 3, 64, 96),), dynamic_shapes=({2: height, 3: width},)
        ).module()
        for size in [(64, 96), (37, 101), (128, 33)]:
            images = torch.randn(1, 3, *size)
            found, expected = exported(images), network(images)
            assert found.size == expected.size
            torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-4)
