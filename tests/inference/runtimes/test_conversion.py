"""Every kind of network computes the same in ONNX Runtime and in OpenVINO, at any size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks.test_conformance import shaken, title

from perpixel import kernels
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.conversion import OPSET, to_onnx, to_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph, FullGraph
from perpixel.inference.runtimes.onnx_runtime import OnnxRuntime
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.networks import Network, NetworkConfig, network_config
from perpixel.networks.canvas import Canvas
from perpixel.networks.folding import folded
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import Placement

pytestmark = pytest.mark.usefixtures("unchecked")
KINDS = [
    network_config({"classes": 3, **options})
    for options in (
        {"name": "fcn4s", "backbone": "test_resnet", "head_channels": 8},
        {"name": "fcn16s", "backbone": "test_efficientnet", "head": "scores", "bands": 5},
        {"name": "fcn8s-vgg16", "width": 2},
        {"name": "fcn16s-vgg16", "width": 2, "fc6": "1x1"},
        {"name": "fcn8s-vgg16-at-once", "width": 2, "upsampling": "learned"},
        {"name": "fcn-decoder", "backbone": "vgg13", "width": 2},
        {"name": "segnet", "width": 2},
        {"name": "segnet-basic", "width": 4},
        {"name": "unet", "width": 2},
        {"name": "unet-padded", "width": 4, "backbone": "test_resnet"},
        {"name": "deeplabv3plus", "backbone": "test_resnet", "head_channels": 8},
        {"name": "deeplabv3_mobilenet_v3_large"},
    )
]
SIZES = [(1, 37, 65), (2, 1, 1), (2, 113, 31), (1, 64, 96)]


def lively(config: NetworkConfig) -> Network:
    """A network with nothing at its starting value, batch norm's statistics least of all."""
    network = shaken(config)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.1)
    return network


@pytest.mark.parametrize("config", KINDS, ids=title)
def test_all_runtimes_compute_the_same_scores(config: NetworkConfig) -> None:
    torch.manual_seed(0)
    network = lively(config)
    proto = to_onnx(CoarseGraph(folded(network), config.bands))
    assert [dim.dim_param or dim.dim_value for dim in
            proto.graph.input[0].type.tensor_type.shape.dim] == [
        "batch", config.bands, "height", "width",
    ]  # fmt: skip
    graph = proto.SerializeToString()
    model = packages.openvino().Core().read_model(graph)
    runtimes = [
        OnnxRuntime(graph, network.placement),
        OpenVinoRuntime(model, network.placement),
    ]
    for batch, height, width in SIZES:
        images = torch.randn(batch, config.bands, height, width)
        with torch.no_grad():
            expected = network(images)
        scale = float(expected.scores.abs().max())
        assert scale > 0
        for runtime in runtimes:
            found = runtime.scores(images)
            assert (found.stride, found.offset) == (expected.stride, expected.offset)
            assert found.size == expected.size
            assert found.scores.shape == expected.scores.shape
            difference = float((found.scores - expected.scores).abs().max())
            assert difference <= 1e-4 * scale, (runtime.name, batch, height, width)


@pytest.fixture(scope="module")
def network() -> Network:
    return lively(network_config({"name": "fcn32s-vgg16", "width": 2, "classes": 4}))


def test_bfloat16_comes_near_and_is_another_precision(network: Network, unchecked: None) -> None:
    graph = to_openvino(CoarseGraph(folded(network), 3))
    images = torch.randn(1, 3, 61, 83, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images).scores
    runtime = OpenVinoRuntime(graph, network.placement, "bf16")
    assert runtime.precision == "bf16"
    found = runtime.scores(images).scores
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


class Spread(Network):
    """Scores that are spread over the image whatever its size, and more classes than a byte has."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 300, 5, stride=3, padding=2)

    @property
    def canvas(self) -> Canvas:
        return Canvas()

    @property
    def placement(self) -> Placement:
        return Placement(None)

    def forward_scores(self, canvas: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.convolution(canvas)
        return scores


PAPER = network_config({"name": "fcn8s-vgg16", "width": 2, "classes": 5})
ALONE = """
import sys
import numpy as np
import onnxruntime
graph, images, masks = sys.argv[1:]
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
with np.load(images) as stored:
    found = {name: session.run(None, {"image": stored[name]})[0] for name in stored}
np.savez(masks, **found)
assert not any(name.split(".")[0] in ("perpixel", "torch") for name in sys.modules)
"""


@pytest.mark.parametrize(
    ("name", "preprocessing"),
    [("paper", Preprocessing(order="bgr", range=255.0)), ("spread", Preprocessing())],
)
def test_a_whole_graph_gives_the_same_masks_in_a_process_without_perpixel(
    name: str, preprocessing: Preprocessing, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, classes = (lively(PAPER), 5) if name == "paper" else (Spread().eval(), 300)
    proto = to_onnx(FullGraph(folded(network), preprocessing, classes))
    assert [(one.domain, one.version) for one in proto.opset_import if not one.domain] == [
        ("", OPSET)
    ]
    graph = tmp_path / "whole.onnx"
    graph.write_bytes(proto.SerializeToString())
    rng = np.random.default_rng(0)
    images = {
        f"{height}x{width}": rng.integers(0, 256, (batch, height, width, 3), np.uint8)
        for batch, height, width in SIZES
    }
    np.savez(tmp_path / "images.npz", **images)
    files = [str(tmp_path / name) for name in ("whole.onnx", "images.npz", "masks.npz")]
    subprocess.run([sys.executable, "-I", "-c", ALONE, *files], check=True)
    compiled = packages.openvino().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with np.load(tmp_path / "masks.npz") as masks:
        for size, image in images.items():
            batch = preprocessing(torch.from_numpy(image).permute(0, 3, 1, 2))
            with torch.no_grad():
                expected = network(batch)
            mask = kernels.argmax(expected).numpy()
            top = torch.sort(expected.logits(), 1, descending=True).values
            # Where two classes score alike, either may win.
            tied = (top[:, 0] - top[:, 1] <= 1e-4 * top.abs().max()).numpy()
            wanted = np.uint8 if classes <= 256 else np.uint16
            for found in (masks[size], compiled([image])[0]):
                assert found.dtype == wanted
                np.testing.assert_array_equal(found[~tied], mask[~tied])
            assert tied.mean() < 0.1
