"""The gradient of a depthwise convolution against torch's, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perpixel.kernels import cpu_threads
from perpixel.kernels.depthwise import depthwise, has_depthwise_kernel

Zeros = tuple[int, int]
ZEROS = st.tuples(st.integers(0, 3), st.integers(0, 3))


def inputs(shape: tuple[int, ...], kernel: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(shape[1], 1, *kernel, generator=generator)
    return features.requires_grad_(), weight.requires_grad_()


def compare(
    features: torch.Tensor, weight: torch.Tensor, stride: int, before: Zeros, after: Zeros
) -> None:
    result = depthwise(features, weight, stride=stride, before=before, after=after)
    exact = [value.detach().double().requires_grad_() for value in (features, weight)]
    padded = F.pad(exact[0], (before[1], after[1], before[0], after[0]))
    right = F.conv2d(padded, exact[1], None, stride, groups=len(weight))
    torch.testing.assert_close(result.double(), right, atol=1e-5, rtol=1e-5)
    by_result = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    result.backward(by_result)
    right.backward(by_result.double())
    for found, expected in zip((features, weight), exact, strict=True):
        assert found.grad is not None
        assert expected.grad is not None
        # What is added up has both signs: an error is small beside the largest sum.
        atol = 1e-6 * float(1 + expected.grad.abs().max())
        torch.testing.assert_close(found.grad.double(), expected.grad, atol=atol, rtol=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    images=st.integers(1, 3),
    blocks=st.integers(1, 3),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 5)),
    stride=st.sampled_from([1, 2]),
    before=ZEROS,
    after=ZEROS,
)
def test_gradients_are_torchs(
    images: int,
    blocks: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    before: Zeros,
    after: Zeros,
) -> None:
    padded = [sum(sides) for sides in zip(size, before, after, strict=True)]
    assume(padded[0] >= kernel[0] and padded[1] >= kernel[1])
    features, weight = inputs((images, 16 * blocks, *size), kernel)
    assert has_depthwise_kernel(features, weight, (stride, stride))
    compare(features, weight, stride, before, after)


def test_a_large_image_is_cut_into_pieces_without_a_seam() -> None:
    features, weight = inputs((2, 80, 37, 211), (5, 5))
    compare(features, weight, 2, (2, 1), (2, 2))


def test_other_memory_orders_are_taken() -> None:
    features, weight = inputs((2, 16, 9, 7), (3, 3))
    features = features.detach().contiguous().requires_grad_()
    compare(features, weight, 1, (1, 1), (1, 1))


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(cpu_threads.torch, "get_num_threads", lambda count=threads: count)
        features, weight = inputs((2, 48, 21, 19), (5, 5))
        result = depthwise(features, weight, stride=1, before=(2, 2), after=(2, 2))
        result.square().sum().backward()
        found.append((features.grad, weight.grad))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("features", "weight", "stride"),
    [
        (torch.zeros(1, 16, 4, 4, dtype=torch.float64), torch.zeros(16, 1, 3, 3), (1, 1)),
        (torch.zeros(1, 16, 4, 4), torch.zeros(16, 1, 3, 3, dtype=torch.bfloat16), (1, 1)),
        (torch.zeros(1, 24, 4, 4), torch.zeros(24, 1, 3, 3), (1, 1)),
        (torch.zeros(1, 16, 4, 4), torch.zeros(32, 1, 3, 3), (1, 1)),
        (torch.zeros(1, 16, 4, 4), torch.zeros(16, 2, 3, 3), (1, 1)),
        (torch.zeros(1, 16, 9, 9), torch.zeros(16, 1, 3, 7), (1, 1)),
        (torch.zeros(1, 16, 4, 4), torch.zeros(16, 1, 3, 3), (3, 3)),
        (torch.zeros(1, 16, 4, 4), torch.zeros(16, 1, 3, 3), (1, 2)),
        (torch.zeros(16, 4, 4), torch.zeros(16, 1, 3, 3), (1, 1)),
        (torch.zeros(1, 16, 4, 4, device="meta"), torch.zeros(16, 1, 3, 3), (1, 1)),
    ],
)
def test_what_the_kernel_does_not_take_is_told(
    features: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int]
) -> None:
    assert not has_depthwise_kernel(features, weight, stride)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_torch_knows_the_operator() -> None:
    features, weight = inputs((2, 16, 5, 7), (3, 3))
    torch.library.opcheck(
        torch.ops.perpixel.depthwise.default, (features, weight, 2, [0, 0], [1, 1])
    )
