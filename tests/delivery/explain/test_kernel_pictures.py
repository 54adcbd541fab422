"""Upsampling kernels against the networks' own weights and a transposed convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from delivery.explain.conftest import MakeModel
from perpixel.delivery.explain import upsampling_kernels
from perpixel.delivery.explain.kernel_pictures import bilinear_kernel, upsamplings
from perpixel.errors import ConfigError


@pytest.mark.parametrize("stride", [2, 3, 4, 8])
def test_the_bilinear_kernel_does_what_interpolation_does(stride: int) -> None:
    kernel = torch.from_numpy(bilinear_kernel((float(stride), float(stride))))
    cells = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    crop = (kernel.shape[0] - stride) // 2
    found = F.conv_transpose2d(cells, kernel[None, None], stride=stride)
    expected = F.interpolate(cells, scale_factor=stride, mode="bilinear")
    rows, columns = expected.shape[2:]
    found = found[:, :, crop : crop + rows, crop : crop + columns]
    inner = np.s_[..., stride:-stride, stride:-stride]
    torch.testing.assert_close(found[inner], expected[inner])


def test_learned_kernels_are_the_layers_weights(make: MakeModel) -> None:
    model = make(name="fcn8s-vgg16", width=1, upsampling="learned")
    weights = model.network.state_dict()
    steps = upsamplings(model)
    names = ["upscore2", "upscore_pool4", "upscore8"]
    assert [step.name for step in steps] == names
    figure = upsampling_kernels(model)
    for row, (name, step) in enumerate(zip(names, steps, strict=True)):
        weight = weights[f"{name}.weight"].numpy()
        assert step.learned is not None
        np.testing.assert_array_equal(step.learned, weight)
        own = np.stack([weight[index, index] for index in range(4)])
        shown = [axes.images[0].get_array() for axes in figure.axes[4 * row : 4 * row + 4]]
        np.testing.assert_allclose(shown[1], own.mean(axis=0), rtol=1e-5)
        apart = [np.abs(kernel - shown[0]).max() for kernel in own]
        np.testing.assert_array_equal(shown[2], own[int(np.argmax(apart))])
        np.testing.assert_allclose(shown[3], shown[2] - shown[0], atol=1e-7)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "fcn4s"}, [("up.16", 2), ("up.8", 2), ("up.4", 2), ("the last step", 4)]),
        ({"name": "fcn32s", "head": "scores"}, [("the last step", 32)]),
        (
            {"name": "deeplabv3plus", "backbone": "resnet10t", "head_channels": 4},
            [("interpolation", 4), ("the last step", 4)],
        ),
        (
            {"name": "unet-padded", "backbone": "test_resnet", "width": 2, "stride": 4},
            [*((f"expand.up.{place}", 2) for place in range(3)), ("the last step", 4)],
        ),
    ],
    ids=lambda value: str(value["name"]) if isinstance(value, dict) else "",
)
def test_every_step_up_is_found(
    make: MakeModel, options: dict[str, object], expected: list[tuple[str, int]]
) -> None:
    model = make(**options)
    steps = upsamplings(model)
    assert [(step.name, step.stride) for step in steps] == [(n, (s, s)) for n, s in expected]
    assert all(len(step.bilinear) == 2 * step.stride[0] for step in steps)
    assert upsampling_kernels(model).axes


def test_kernels_that_are_still_bilinear_are_said_to_be(make: MakeModel) -> None:
    figure = upsampling_kernels(make(name="fcn8s-vgg16", width=1))
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert written.count("every class:\nexactly bilinear") == 2


def test_a_network_without_upsampling_is_refused(make: MakeModel) -> None:
    with pytest.raises(ConfigError, match="SegNetBasic"):
        upsampling_kernels(make(name="segnet-basic", width=2))
