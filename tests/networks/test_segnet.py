"""SegNet: indices carried from pooling to unpooling, and the paper's sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.vgg import cfgs, make_layers

from perpixel.networks.segnet import SegNet, SegNetBasic, SegNetConfig, build_segnet, unpool


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unpooling_puts_each_maximum_back_where_it_was(dtype: torch.dtype) -> None:
    features = torch.randn(2, 3, 14, 22).to(dtype)
    pooled, indices = F.max_pool2d(features, 2, return_indices=True)
    sparse = unpool(pooled, indices)
    maxima = features == F.interpolate(pooled.float(), scale_factor=2).to(dtype)
    kept = sparse != 0
    assert torch.equal(sparse[kept], features[kept])
    assert bool(maxima[kept].all())
    assert int(kept.sum()) == pooled.numel()
    if dtype == torch.float32:
        assert torch.equal(sparse, F.max_unpool2d(pooled, indices, 2))
        # Pooling what was unpooled gives what was pooled, where that is above the zeros.
        again = F.max_pool2d(unpool(pooled.exp(), indices), 2)
        assert torch.equal(again, pooled.exp())


def test_the_gradient_of_unpooling_is_read_at_the_indices() -> None:
    features = torch.randn(1, 2, 3, 5, dtype=torch.float64, requires_grad=True)
    indices = F.max_pool2d(torch.randn(1, 2, 6, 10), 2, return_indices=True)[1]
    assert torch.autograd.gradcheck(lambda values: unpool(values, indices), (features,))


def test_the_encoder_is_torchvisions_vgg16_with_batch_norm() -> None:
    network = build_segnet(SegNetConfig(name="segnet", classes=5)).eval()
    # Without the classifier, which is nine tenths of it.
    theirs = make_layers(cfgs["D"], batch_norm=True).eval()
    encoder = network.backbone
    encoder.pyramid["features"].load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        found, places = encoder(images)
        torch.testing.assert_close(found, theirs(images))
    assert [place.shape[2:] for place in places] == [
        (32, 16), (16, 8), (8, 4), (4, 2), (2, 1),
    ]  # fmt: skip


def test_the_sizes_are_the_papers() -> None:
    network = SegNet(classes=11)
    convolutions = [
        module for module in network.backbone.modules() if isinstance(module, torch.nn.Conv2d)
    ]
    decoding = [
        module for module in network.decoder.modules() if isinstance(module, torch.nn.Conv2d)
    ]
    # "The encoder has 13 convolutional layers ... 14.7 million" (section 3); as many behind it.
    assert len(convolutions) == len([*decoding, network.classify]) == 13
    assert sum(map(parameters, convolutions)) == 14_714_688
    # Table 1: SegNet-Basic has 1.425 million.
    assert parameters(SegNetBasic(classes=11)) == pytest.approx(1_425_000, rel=0.01)


def test_segnet_basic_is_the_papers_layers_in_their_order() -> None:
    network = build_segnet(SegNetConfig(name="segnet-basic", classes=4, bands=1, width=6)).eval()
    weights = network.state_dict()

    def block(features: torch.Tensor, name: str) -> torch.Tensor:
        features = F.conv2d(features, weights[f"{name}.0.weight"], padding=3)
        mean, variance = weights[f"{name}.1.running_mean"], weights[f"{name}.1.running_var"]
        scale, shift = weights[f"{name}.1.weight"], weights[f"{name}.1.bias"]
        return F.batch_norm(features, mean, variance, scale, shift)

    images = torch.randn(2, 1, 48, 32)
    with torch.no_grad():
        for tensor in weights.values():
            if tensor.ndim:
                tensor += 0.1 * torch.rand(tensor.shape)
        features, places = images, []
        for stage in range(4):
            features = block(features, f"encoder.{stage}").relu()
            features, indices = F.max_pool2d(features, 2, return_indices=True)
            places.append(indices)
        for stage in range(4):
            features = block(F.max_unpool2d(features, places[3 - stage], 2), f"decoder.{stage}")
        expected = F.conv2d(features, weights["classify.weight"], weights["classify.bias"])
        torch.testing.assert_close(network(images).scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["segnet", "segnet-basic"])
def test_any_size_is_scored_at_every_pixel(name: str) -> None:
    network = build_segnet(SegNetConfig(name=name, classes=3, bands=2, width=2)).eval()
    for height, width in [(1, 1), (33, 47)]:
        scored = network(torch.randn(1, 2, height, width))
        assert (scored.size, scored.stride) == ((height, width), (1.0, 1.0))
        assert torch.equal(scored.logits(), scored.scores[:, :, :height, :width])


@pytest.mark.parametrize("name", ["segnet", "segnet-basic"])
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    network = build_segnet(SegNetConfig(name=name, classes=3, width=4)).train()
    scores = network(torch.randn(2, 3, 64, 96)).scores
    # A convolution's bias before batch norm has no effect, so its gradient is but rounding.
    (scores * torch.randn_like(scores)).sum().backward()
    for name_, parameter in network.named_parameters():
        assert parameter.grad is not None, name_
        assert bool(parameter.grad.any()), name_
