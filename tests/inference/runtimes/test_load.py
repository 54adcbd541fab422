"""`load` with a runtime and a precision: what is asked for, or the fastest."""

from __future__ import annotations

from functools import partial

import jaxtyping
import numpy as np
import pytest
import torch

from perpixel.errors import ConfigError, ModelError
from perpixel.inference.predictor import load
from perpixel.inference.runtimes import choice, converted, selection
from perpixel.inference.runtimes.card import ExportCard
from perpixel.inference.runtimes.conversion import to_onnx, to_openvino
from perpixel.inference.runtimes.exported import write_onnx, write_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.inference.runtimes.prepared import PreparedRuntime
from perpixel.inference.runtimes.torch_runtime import TorchRuntime
from perpixel.networks.folding import folded

IMAGE = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Measurements take a moment; without shape checks, because while a graph is traced a size is
    no int."""
    monkeypatch.setattr(choice, "SIZE", 64)
    monkeypatch.setattr(choice, "BUDGET", 0.0)
    jaxtyping.config.update("jaxtyping_disable", True)
    for convert in (to_onnx, to_openvino):
        monkeypatch.setattr(converted, convert.__name__, partial(once, convert))
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


CONVERSIONS = {}


def once(convert, graph):
    """All tests convert the same model."""
    if convert not in CONVERSIONS:
        CONVERSIONS[convert] = convert(graph)
    return CONVERSIONS[convert]


@pytest.fixture
def exact(model_file):
    return load(model_file, "cpu", "torch", "fp32").predict(IMAGE)


def agreement(model, exact):
    return float((model.predict(IMAGE).mask == exact.mask).mean())


def test_torch_in_fp32_is_the_module_itself(model_file, cache):
    model = load(model_file, "cpu", "torch", "fp32")
    assert isinstance(model.runtime, TorchRuntime)
    assert model.runtime.network is model.network
    assert str(model.choice) == "torch fp32 (asked for)"
    assert not cache.exists()


def test_for_a_few_pixels_nothing_is_measured_and_what_was_is_used(
    model_file, cache, exact, monkeypatch
):
    monkeypatch.setattr(selection, "find_spec", lambda name: None)
    monkeypatch.setattr(selection, "has_bf16", lambda: True)
    few = load(model_file, "cpu", pixels=selection.FEW_PIXELS)
    assert str(few.choice).startswith("torch fp32 (nothing faster has been prepared")
    assert agreement(few, exact) == 1
    assert not cache.exists()
    more = load(model_file, "cpu", pixels=selection.FEW_PIXELS + 1)
    assert more.choice.reason.startswith("the fastest measured")
    again = load(model_file, "cpu", pixels=1)
    assert again.choice == more.choice
    # With another runtime to choose from, it must have been converted to as well.
    monkeypatch.setattr(selection, "recalled", lambda about: {"openvino bf16": 1.0})
    monkeypatch.setattr(selection, "find_spec", lambda name: name)
    assert load(model_file, "cpu", pixels=1).choice == few.choice
    asked = load(model_file, "cpu", "torch", "bf16", pixels=1)
    assert str(asked.choice) == "torch bf16 (asked for)"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_auto_takes_what_torch_offers_where_nothing_else_is_installed(
    model_file, cache, exact, monkeypatch, precision
):
    monkeypatch.setattr(selection, "find_spec", lambda name: None)
    monkeypatch.setattr(selection, "has_bf16", lambda: True)
    model = load(model_file, "cpu", precision=precision)
    assert str(model.choice) == f"torch {precision} (the only runtime here that offers it)"
    assert agreement(model, exact) >= (1.0 if precision == "fp32" else 0.95)
    both = load(model_file, "cpu")
    assert both.choice.runtime == "torch"
    assert "torch fp32 " in both.choice.reason
    assert "torch bf16 " in both.choice.reason
    assert len(list(cache.rglob("*.json"))) == 1


def test_without_instructions_for_bf16_it_is_not_considered(model_file, cache, exact, monkeypatch):
    monkeypatch.setattr(selection, "find_spec", lambda name: None)
    monkeypatch.setattr(selection, "has_bf16", lambda: False)
    model = load(model_file, "cpu")
    assert str(model.choice) == "torch fp32 (this processor has no instructions for bf16)"
    assert agreement(model, exact) == 1.0
    assert not cache.exists()


def test_openvino_is_measured_where_it_is_installed_and_its_conversion_is_kept(
    model_file, cache, exact, monkeypatch
):
    pytest.importorskip("openvino")
    monkeypatch.setattr(selection, "has_bf16", lambda: False)
    first = load(model_file, "cpu").choice
    assert "openvino fp32 " in first.reason
    assert "torch fp32 " in first.reason
    (graph,) = cache.rglob("graph.xml")
    before = graph.stat().st_mtime_ns
    named = load(model_file, "cpu", "openvino", "fp32")
    assert agreement(named, exact) == 1.0
    assert str(named.choice) == "openvino fp32 (asked for)"
    assert graph.stat().st_mtime_ns == before
    # A conversion that was cut short is made anew.
    weights = graph.with_suffix(".bin")
    size = weights.stat().st_size
    weights.write_bytes(b"")
    assert agreement(load(model_file, "cpu", "openvino", "fp32"), exact) == 1.0
    assert weights.stat().st_size == size
    assert not list(cache.rglob("*.part"))


def test_onnx_runtime_is_taken_by_name(model_file, cache, exact):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = load(model_file, "cpu", "onnxruntime")
    assert agreement(model, exact) == 1.0
    assert model.choice.reason == "what onnxruntime computes a model file in"
    (graph,) = cache.rglob("graph.onnx")
    graph.write_bytes(b"damaged")
    assert agreement(load(model_file, "cpu", "onnxruntime"), exact) == 1.0
    assert graph.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_no_error(
    model_file, cache, exact, tmp_path, monkeypatch
):
    pytest.importorskip("openvino")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PERPIXEL_CACHE", str(tmp_path / "file" / "cache"))
    assert agreement(load(model_file, "cpu", "openvino", "fp32"), exact) == 1.0


def test_a_network_that_openvino_does_not_compute_rightly_is_refused(
    model_file, cache, monkeypatch
):
    pytest.importorskip("openvino")
    monkeypatch.setattr("perpixel.inference.runtimes.converted.TOLERANCE", -1.0)
    model = load(model_file, "cpu", "openvino", "fp32")
    with pytest.raises(ConfigError, match="its scores differ from torch's"):
        model.predict(IMAGE)
    auto = load(model_file, "cpu", precision="fp32")
    assert auto.choice.runtime == "torch"
    assert auto.choice.reason.endswith("; openvino fp32 cannot")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime", "openvino"])
def test_that_a_network_cannot_be_converted_is_forgotten_with_other_packages(
    model_file, cache, monkeypatch, package
):
    monkeypatch.setattr(selection, "find_spec", lambda name: name)
    monkeypatch.setattr(selection, "has_bf16", lambda: True)
    tried = []

    def refuse(*given):
        tried.append(given)
        raise ConfigError("runtime openvino", found="it cannot", mend="Use runtime torch")

    monkeypatch.setattr(selection, "openvino_graph", refuse)
    for _ in range(2):
        model = load(model_file, "cpu", precision="fp32")
        assert model.choice.reason.endswith("; openvino fp32 cannot")
        assert len(tried) == 1
    own = selection.version
    monkeypatch.setattr(selection, "version", lambda name: "9.9" if name == package else own(name))
    assert load(model_file, "cpu", precision="fp32").choice.runtime == "torch"
    assert len(tried) == 2


def test_the_environment_says_what_auto_is(model_file, cache, monkeypatch):
    monkeypatch.setenv("PERPIXEL_RUNTIME", "torch")
    monkeypatch.setenv("PERPIXEL_PRECISION", "fp32")
    assert isinstance(load(model_file, "cpu").runtime, TorchRuntime)
    model = load(model_file, "cpu", precision="bf16")
    assert str(model.choice) == "torch bf16 (asked for)"
    model.predict(IMAGE)
    monkeypatch.setenv("PERPIXEL_RUNTIME", "fastest")
    with pytest.raises(ConfigError, match=r"PERPIXEL_RUNTIME: no runtime is called 'fastest'"):
        load(model_file, "cpu")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_runtime_that_is_not_installed_is_an_error_that_says_how(
    model_file, cache, monkeypatch, runtime
):
    monkeypatch.setitem(__import__("sys").modules, runtime, None)
    with pytest.raises(ConfigError, match=r"pip install 'perpixel\[runtimes\]'"):
        load(model_file, "cpu", runtime)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "tensorrt"}, "no runtime is called 'tensorrt'"),
        ({"precision": "fp8"}, "no precision is called 'fp8'"),
        ({"precision": "int8"}, "Export the model with `--to openvino-int8`"),
        ({"runtime": "torch", "precision": "fp16"}, "torch: does not compute in fp16"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, "does not compute in bf16"),
    ],
)
def test_what_is_not_offered_is_refused(model_file, cache, options, message):
    with pytest.raises(ConfigError, match=message):
        load(model_file, "cpu", **options)


def test_on_a_gpu_only_torch_is_offered(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert selection.offers(gpu, "auto", "auto") == [("torch", "bf16"), ("torch", "fp32")]
    assert selection.offers(gpu, "torch", "fp16") == [("torch", "fp16")]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert selection.offers(gpu, "auto", "auto") == [("torch", "fp16"), ("torch", "fp32")]
    with pytest.raises(ConfigError, match="on the CPU alone"):
        selection.offers(gpu, "openvino", "auto")
    with pytest.raises(ConfigError, match="does not compute in int8"):
        selection.offers(gpu, "auto", "int8")


def exported(model_file, folder, kind):
    model = load(model_file, "cpu", "torch", "fp32")
    network = model.network
    card = ExportCard(
        network="fcn8s",
        labels=model.labels,
        preprocessing=model.preprocessing,
        placement=network.placement,
        canvas=network.canvas,
    )
    graph = CoarseGraph(folded(network), 3)
    if kind == "onnx":
        write_onnx(folder / "model.onnx", once(to_onnx, graph), card)
        return folder / "model.onnx"
    write_openvino(folder / "model.xml", once(to_openvino, graph).clone(), card)
    return folder / "model.xml"


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_exports_load_directly(model_file, cache, exact, tmp_path, monkeypatch, kind):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    path = exported(model_file, tmp_path, kind)
    monkeypatch.setenv("PERPIXEL_RUNTIME", "torch")  # is about model files
    monkeypatch.setattr(selection, "has_bf16", lambda: True)
    own = "onnxruntime" if kind == "onnx" else "openvino"
    for name in ("auto", own):
        model = load(path, runtime=name, precision="fp32")
        assert agreement(model, exact) == 1.0
        assert (model.choice.runtime, model.choice.precision) == (own, "fp32")
    assert model.labels == load(model_file, "cpu").labels
    auto = load(path)
    assert agreement(auto, exact) >= 0.95
    if kind == "openvino":
        assert "openvino bf16 " in auto.choice.reason
    with pytest.raises(ModelError, match="whose layers cannot be looked into"):
        auto.as_trained()
    with pytest.raises(ModelError, match=rf"model\.\w+: an export for {own}"):
        load(path, runtime="torch")
    with pytest.raises(ConfigError):
        load(path, precision="fp16")


def test_what_looks_into_layers_computes_by_them(model_file, cache):
    model = load(model_file, "cpu", "torch", "bf16")
    assert model.choice.precision == "bf16"
    trained = model.as_trained()
    assert trained.network is model.network
    assert isinstance(trained.runtime, TorchRuntime)
    assert str(trained.choice) == "torch fp32 (asked for)"
    assert isinstance(model.runtime._choose()[0], PreparedRuntime)
