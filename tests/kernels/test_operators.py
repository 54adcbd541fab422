"""The operators under torch's own machinery: checks, compilation, autocast, accumulation."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from perpixel import kernels
from perpixel.kernels import operators
from perpixel.score_map import ScoreMap

SIZE = (19, 23)

# Without torch's own code generator, which wants a C++ compiler and minutes.
COMPILE = """
import torch
from perpixel import kernels
from perpixel.score_map import ScoreMap

layer = torch.nn.Conv2d(3, 4, 3, padding=1)
image, mask = torch.randn(2, 3, 5, 6), torch.randint(0, 4, (2, 19, 23))

def train(image, mask):
    return kernels.cross_entropy(ScoreMap.of(layer(image), (19, 23)), mask, ignore_index=255)

def evaluate(image, mask):
    with torch.no_grad():
        prediction, probability = kernels.winner(ScoreMap.of(layer(image), (19, 23)))
        counts = kernels.confusion(prediction, mask, classes=4, ignore_index=255)
        return prediction, probability, counts

results = []
for run in (lambda f: f, lambda f: torch.compile(f, fullgraph=True, backend="aot_eager")):
    layer.weight.grad = None
    loss = run(train)(image, mask)
    loss.backward()
    results.append((loss.detach(), layer.weight.grad, *run(evaluate)(image, mask)))
for right, found in zip(*results, strict=True):
    torch.testing.assert_close(found, right)
"""


def arguments(dtype=torch.float32, requires_grad=True, with_gradient=True):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 4, 5, 6, generator=generator, dtype=dtype)
    mask = torch.randint(0, 4, (2, *SIZE), generator=generator)
    mask[0, :3] = 255
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=dtype)
    stride, offset = (4.0, 3.9), (0.0, 0.2)
    return (
        scores.requires_grad_(requires_grad),
        stride,
        offset,
        SIZE,
        mask,
        weights,
        255,
        0.1,
        "mean",
        with_gradient,
    )


@pytest.mark.parametrize("with_gradient", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck's own
def test_opcheck_cross_entropy(dtype, with_gradient):
    torch.library.opcheck(operators.cross_entropy, arguments(dtype, with_gradient, with_gradient))


@pytest.mark.parametrize("operator", [operators.argmax, operators.winner])
def test_opcheck_winner(operator):
    scores, stride, offset, size, *_ = arguments(requires_grad=False)
    torch.library.opcheck(operator, (scores, stride, offset, size))


@pytest.mark.parametrize("with_gradient", [True, False])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck's own
def test_opcheck_dice(with_gradient):
    *place, mask, _, _, _, _, _ = arguments(requires_grad=with_gradient)
    torch.library.opcheck(operators.dice, (*place, mask, 255, with_gradient))


def test_opcheck_hard_pixels():
    *place, mask, _, _, _, _, _ = arguments(requires_grad=False)
    torch.library.opcheck(operators.hard_pixels, (*place, mask, 255, 0.3))


def test_opcheck_confusion():
    mask = arguments()[4]
    torch.library.opcheck(operators.confusion, (mask.clamp(max=3), mask, 4, 255))


def test_gradcheck_in_float64():
    scores = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.randint(0, 3, (1, 7, 5))

    def loss(scores):
        score_map = ScoreMap.of(scores, (7, 5))
        return kernels.cross_entropy(score_map, mask, ignore_index=255, label_smoothing=0.1)

    assert torch.autograd.gradcheck(loss, scores)


def test_gradcheck_of_the_fused_kernel():
    """In float32, so with wide steps."""
    scores = torch.randn(1, 3, 2, 3, requires_grad=True)
    mask = torch.randint(0, 3, (1, 7, 5))
    rest = ((3.5, 2.0), (0.0, 0.0), (7, 5), mask, None, 255, 0.1, "sum", True)

    def loss(scores):
        return operators.cross_entropy(scores, *rest)[0]

    with pytest.warns(UserWarning, match="not a double precision"):
        assert torch.autograd.gradcheck(loss, scores, eps=0.05, atol=0.02, rtol=0.01)


def test_training_and_evaluation_compile_to_one_graph_each():
    # A process of its own: here, under test, the type checks of jaxtyping would break the graph.
    subprocess.run([sys.executable, "-c", COMPILE], check=True, timeout=900)


def test_under_autocast_the_loss_is_float32():
    layer = torch.nn.Conv2d(3, 4, 3, padding=1)
    mask = arguments()[4]
    with torch.autocast("cpu", torch.bfloat16):
        scores = layer(torch.randn(2, 3, 5, 6))
        loss = kernels.cross_entropy(ScoreMap.of(scores, SIZE), mask, ignore_index=255)
    assert scores.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    loss.backward()
    assert layer.weight.grad.isfinite().all()


def test_gradients_accumulate_and_scale():
    scores, _, _, _, mask, *_ = arguments()
    score_map = ScoreMap.of(scores, SIZE)
    kernels.cross_entropy(score_map, mask, ignore_index=255).backward()
    once = scores.grad.clone()
    (3 * kernels.cross_entropy(score_map, mask, ignore_index=255)).backward()
    torch.testing.assert_close(scores.grad, 4 * once)


def test_without_grad_nothing_is_kept():
    scores, _, _, _, mask, *_ = arguments()
    with torch.no_grad():
        loss = kernels.cross_entropy(ScoreMap.of(scores, SIZE), mask, ignore_index=255)
    assert not loss.requires_grad
    assert not kernels.argmax(ScoreMap.of(scores, SIZE)).requires_grad


def test_the_kernel_of_a_device_has_a_name():
    names = {device: kernels.kernel_for(device) for device in ("cpu", "cuda", "mps")}
    assert names == {"cpu": "numba", "cuda": "triton", "mps": "reference"}


def test_the_current_gpu_is_the_tensor_s_while_its_kernels_run(monkeypatch) -> None:
    # Triton launches on the current one. Here the guard is only seen to be there.
    guarded = []

    class Guard:
        def __init__(self, tensor: torch.Tensor) -> None:
            guarded.append(tensor)

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "device_of", Guard)
    scores, mask = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, *SIZE))
    score_map = ScoreMap.of(scores, SIZE)
    kernels.argmax(score_map)
    kernels.winner(score_map)
    kernels.cross_entropy(score_map, mask, ignore_index=255)
    kernels.confusion(mask, mask, classes=4, ignore_index=255)
    assert [tensor is mask for tensor in guarded] == [False, False, False, True]
