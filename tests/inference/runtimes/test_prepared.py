"""The copy that is prepared for inference computes what its network computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perpixel.inference.runtimes import dilation_measured
from perpixel.inference.runtimes.captured import KEPT, CapturedGraphs, Replay
from perpixel.inference.runtimes.prepared import PreparedRuntime
from perpixel.inference.runtimes.torch_runtime import TorchRuntime
from perpixel.networks import Network, build, network_config
from perpixel.networks.dilated import ShiftedProducts
from perpixel.score_map import ScoreMap

CPU = torch.device("cpu")
NETWORKS = [
    {"name": "fcn8s", "backbone": "test_resnet", "head_channels": 8},
    {"name": "fcn4s", "backbone": "efficientnet_lite0", "head_channels": 8},
    {"name": "unet", "width": 4},
    {"name": "segnet-basic", "width": 8},
    {"name": "fcn-decoder", "backbone": "vgg13", "width": 8},
    {"name": "deeplabv3plus", "backbone": "test_resnet", "head_channels": 16},
    {"name": "fcn8s-vgg16", "width": 4},
    {"name": "fcn4s", "backbone": "convnext_atto", "head_channels": 8},
]


def network_of(options: dict[str, object]) -> Network:
    torch.manual_seed(0)
    network = build(network_config({"classes": 3, **options})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape) * 0.02
    return network


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options["name"])
@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-4), ("bf16", 0.1)])
def test_scores_are_near_the_networks_own(options, precision, near):
    network = network_of(options)
    images = torch.randn(2, 3, 45, 70)
    prepared = PreparedRuntime(network, CPU, precision)
    expected = TorchRuntime(network, CPU).scores(images)
    found = prepared.scores(images)
    assert found.scores.dtype == torch.float32
    assert (found.size, found.stride, found.offset) == (
        expected.size, expected.stride, expected.offset
    )  # fmt: skip
    # A score whose parts cancel has no small error of its own: the largest sets the measure.
    error = float((found.scores - expected.scores).abs().max())
    assert error <= near * float(expected.scores.abs().max())
    assert (error > 0) or precision == "fp32"


def test_the_network_stays_as_it_was_and_the_copy_is_made_once():
    network = network_of(NETWORKS[0]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.random.get_rng_state()
    runtime = PreparedRuntime(network, CPU, "bf16")
    with torch.inference_mode():  # as a model calls it
        runtime.scores(torch.zeros(1, 3, 9, 9))
        copy = runtime.prepare()
        runtime.scores(torch.zeros(1, 3, 9, 9))
    assert runtime.prepare() is copy
    assert network.training
    assert torch.equal(generator, torch.random.get_rng_state())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.dtype == before[name].dtype
    kinds = {parameter.dtype for parameter in copy.parameters()}
    assert kinds == {torch.bfloat16}


def test_batch_norms_that_are_left_keep_their_statistics_in_fp32():
    copy = PreparedRuntime(network_of(NETWORKS[4]), CPU, "bf16").prepare()
    norms = [module for module in copy.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.running_var.dtype == norm.weight.dtype == torch.float32 for norm in norms)


@pytest.mark.parametrize("faster", [False, True])
def test_dilated_convolutions_are_replaced_where_that_was_measured_faster(
    monkeypatch, tmp_path, faster
):
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path))
    monkeypatch.setattr(dilation_measured, "LEAST_CHANNELS", 1)
    times = iter([2.0, 1.0] if faster else [1.0, 2.0])
    last = {}

    def fastest(run):
        run()
        last["kind"] = next(times, last.get("kind"))
        return last["kind"]

    monkeypatch.setattr(dilation_measured, "_fastest", fastest)
    network = network_of({"name": "deeplabv3", "backbone": "test_resnet", "head_channels": 16})
    runtime = PreparedRuntime(network, CPU, "bf16")
    images = torch.randn(1, 3, 150, 170)
    found = runtime.scores(images).scores
    expected = TorchRuntime(network, CPU).scores(images).scores
    assert float((found - expected).abs().max()) <= 0.1 * float(expected.abs().max())
    shifted = [
        module for module in runtime.prepare().modules() if isinstance(module, ShiftedProducts)
    ]
    assert bool(shifted) == faster
    assert list(tmp_path.rglob("*.json"))


def test_only_large_dilations_of_many_channels_are_measured(monkeypatch):
    monkeypatch.setattr(dilation_measured, "_measured", pytest.fail)
    for conv in (nn.Conv2d(256, 8, 3, padding=2, dilation=2), nn.Conv2d(8, 8, 3, dilation=12)):
        assert not dilation_measured.gains_by_shifting(conv)


def test_a_dilated_convolution_is_really_timed(monkeypatch, tmp_path):
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path))
    monkeypatch.setattr(dilation_measured, "CELLS", 8)
    conv = nn.Conv2d(64, 4, 3, padding=12, dilation=12).bfloat16()
    assert dilation_measured.gains_by_shifting(conv) in (False, True)
    seconds = dilation_measured._measured(conv)
    assert all(value is not None and value > 0 for value in seconds.values())
    assert len(seconds) == 2


def run(images: torch.Tensor) -> ScoreMap:
    return ScoreMap.of(images * 2, (images.shape[2], images.shape[3]))


def test_a_size_is_captured_when_it_comes_again_and_few_are_kept():
    captured: list[tuple[int, ...]] = []
    replayed: list[tuple[int, ...]] = []

    def capture(function: Replay, images: torch.Tensor) -> Replay:
        captured.append(tuple(images.shape))

        def replay(given: torch.Tensor) -> ScoreMap:
            replayed.append(tuple(given.shape))
            return function(given)

        return replay

    graphs = CapturedGraphs(run, capture)
    images = [torch.randn(1, 3, 4, 4 + width) for width in range(KEPT + 1)]
    for one in images[:KEPT]:
        for _ in range(3):
            assert torch.equal(graphs(one).scores, one * 2)
    assert captured == [tuple(one.shape) for one in images[:KEPT]]
    assert len(replayed) == 2 * KEPT
    graphs(images[0])  # now the second is the one that was used longest ago
    graphs(images[KEPT])
    graphs(images[0])
    assert len(captured) == KEPT
    graphs(images[1])
    graphs(images[1])
    assert captured[-1] == tuple(images[1].shape)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-2), ("bf16", 0.1), ("fp16", 0.05)])
def test_on_a_gpu_a_replayed_graph_gives_each_image_its_own_scores(precision, near):
    device = torch.device("cuda")
    network = network_of(NETWORKS[0]).to(device)
    runtime = PreparedRuntime(network, device, precision)
    images = [torch.randn(2, 3, 45, 70, device=device) for _ in range(4)]
    found = [runtime.scores(one).scores for one in images]
    for one, scores in zip(images, found, strict=True):
        expected = TorchRuntime(network, device).scores(one).scores
        assert float((scores - expected).abs().max()) <= near * float(expected.abs().max())
