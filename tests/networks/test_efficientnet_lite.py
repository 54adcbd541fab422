"""Our EfficientNet-Lite is timm's: the same tensors under the same names, the same features."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch

from perpixel.networks.convolution import adapt_convolutions
from perpixel.networks.efficientnet_lite import SIZES, EfficientNetLite


def theirs_like(
    ours: EfficientNetLite, name: str, bands: int, output_stride: int
) -> torch.nn.Module:
    """timm's pyramid with our weights, none of which is at its starting value."""
    generator = torch.Generator().manual_seed(0)
    for key, tensor in ours.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.5 + noise if "bn" in key and key.endswith(("weight", "var")) else
                         (noise - 0.5) / max(tensor[0].numel() ** 0.5, 1))  # fmt: skip
    pyramid = timm.create_model(
        f"tf_{name}", features_only=True, in_chans=bands, output_stride=output_stride
    )
    pyramid.load_state_dict(ours.state_dict())
    # Their padding of a strided convolution depends on the image's size, ours does not.
    adapt_convolutions(pyramid)
    return pyramid


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("bands", "output_stride"), [(3, 32), (5, 16), (1, 8)])
def test_features_are_those_of_timm(name: str, bands: int, output_stride: int) -> None:
    ours = EfficientNetLite(name, bands, output_stride)
    theirs = theirs_like(ours, name, bands, output_stride)
    assert ours.strides == theirs.feature_info.reduction()
    assert ours.channels == theirs.feature_info.channels()
    images = torch.randn(2, bands, 64, 96, generator=torch.Generator().manual_seed(1))
    for mode in (False, True):
        with torch.no_grad():
            features, expected = ours.train(mode)(images), theirs.train(mode)(images)
        assert len(features) == len(expected) == 5
        for own, other in zip(features, expected, strict=True):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    # What the batch norms have taken in is the same as well.
    after = theirs.state_dict()
    for key, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, after[key], rtol=1e-4, atol=1e-4)


def test_random_weights_are_spread_as_theirs() -> None:
    torch.manual_seed(0)
    ours, theirs = (
        EfficientNetLite("efficientnet_lite0"),
        timm.create_model("tf_efficientnet_lite0", features_only=True),
    )
    for name, tensor in theirs.state_dict().items():
        own = ours.state_dict()[name]
        if tensor.ndim == 4 and tensor.numel() > 10_000:
            assert float(own.std() / tensor.std()) == pytest.approx(1, abs=0.05)
        elif tensor.ndim == 1:
            torch.testing.assert_close(own, tensor)


def test_a_light_network_is_built_without_timm_or_torchvision() -> None:
    program = (
        "import sys; from perpixel.inference.predictor import load; "
        "from perpixel.networks import build, network_config; "
        "build(network_config({'name': 'fcn4s', 'classes': 2})); "
        "print(sorted({'timm', 'torchvision', 'openvino', 'torch._dynamo'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
