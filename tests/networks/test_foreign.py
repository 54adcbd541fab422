"""Weights that were trained elsewhere are fitted whole or refused, with what differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models import segmentation

from perpixel.errors import WeightsError
from perpixel.networks import Network, build, network_config
from perpixel.networks.bilinear import bilinear_weight
from perpixel.networks.foreign import import_weights
from perpixel.networks.paper_fcn import PAPER_INPUT
from perpixel.networks.weights import load_pretrained
from perpixel.preprocessing import Preprocessing

MOBILE = "deeplabv3_mobilenet_v3_large"


def paper(name: str = "fcn8s-vgg16", **options: object) -> Network:
    return build(network_config({"name": name, "classes": 3, "width": 2, **options}))


def published(network: Network, last: torch.Tensor) -> dict[str, torch.Tensor]:
    """A state dict as the PyTorch reproduction writes it: with the last upsampling."""
    tensors = {name: torch.randn_like(value) for name, value in network.state_dict().items()}
    return {**tensors, "upscore8.weight": last}


def test_torchvisions_released_files_fit_without_their_auxiliary_classifier(tmp_path: Path) -> None:
    theirs = segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3, aux_loss=True
    ).eval()
    path = tmp_path / "model.pth"
    torch.save(theirs.state_dict(), path)
    network = build(network_config({"name": MOBILE, "classes": 3})).eval()
    line, preprocessing = import_weights(network, path)
    assert "left out" in line
    assert preprocessing == Preprocessing()
    images = torch.randn(1, 3, 30, 40)
    with torch.no_grad():
        expected = theirs(images)["out"]
        torch.testing.assert_close(network(images).logits(), expected, rtol=1e-4, atol=1e-4)
    wrong = build(network_config({"name": MOBILE, "classes": 4}))
    with pytest.raises(WeightsError, match=r"classifier.4.weight is 3×256×1×1, not 4×256×1×1"):
        import_weights(wrong, path)


@pytest.mark.parametrize("wrapper", [None, "model_state_dict"])
def test_published_weights_of_the_paper_fit_by_name(tmp_path: Path, wrapper: str | None) -> None:
    network = paper()
    tensors = published(network, bilinear_weight(3, 16))
    path = tmp_path / "fcn8s.pth"
    torch.save(tensors if wrapper is None else {wrapper: tensors, "epoch": 3}, path)
    _, preprocessing = import_weights(network, path)
    assert preprocessing == PAPER_INPUT
    for name, value in network.state_dict().items():
        assert torch.equal(value, tensors[name])


def test_a_learned_last_upsampling_needs_a_network_that_has_one(tmp_path: Path) -> None:
    path = tmp_path / "fcn8s.safetensors"
    last = torch.randn(3, 3, 16, 16)
    safetensors.torch.save_file(published(paper(), last), path)
    with pytest.raises(WeightsError, match="--upsampling learned"):
        import_weights(paper(), path)
    network = paper(upsampling="learned")
    import_weights(network, path)
    assert torch.equal(network.state_dict()["upscore8.weight"], last)


def test_what_differs_is_listed(tmp_path: Path) -> None:
    network = paper()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tensors = published(network, bilinear_weight(3, 16))
    tensors["stranger"] = tensors.pop("fc7.bias")
    tensors["conv3_2.bias"] = torch.zeros(5)
    path = tmp_path / "fcn8s.safetensors"
    safetensors.torch.save_file(tensors, path)
    expected = r"lacks fc7.bias; has unknown stranger; conv3_2.bias is 5, not 8"
    with pytest.raises(WeightsError, match=expected):
        import_weights(network, path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("layout", ["torchvision", "timm"])
def test_a_classifiers_fully_connected_layers_become_fc6_and_fc7(
    tmp_path: Path, layout: str
) -> None:
    network = paper("fcn32s-vgg16")
    own = network.state_dict()
    names = network.encoder_names([])
    tensors = {names[name]: torch.randn_like(own[name]) for name in names}
    linear = torch.randn(128, 16 * 49), torch.randn(128, 128)
    flat = layout == "torchvision"
    first, second = (
        ("classifier.0", "classifier.3") if flat else ("pre_logits.fc1", "pre_logits.fc2")
    )
    tensors[f"{first}.weight"] = linear[0] if flat else linear[0].view(128, 16, 7, 7)
    tensors[f"{second}.weight"] = linear[1] if flat else linear[1].view(128, 128, 1, 1)
    tensors |= {f"{name}.bias": torch.randn(128) for name in (first, second)}
    path = tmp_path / "vgg16.pth"
    torch.save(tensors, path)
    load_pretrained(network, path)
    features = torch.randn(1, 16, 7, 7)
    torch.testing.assert_close(
        network.get_submodule("fc6")(features).flatten(),
        linear[0] @ features.flatten() + tensors[f"{first}.bias"],
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    assert torch.equal(own["fc7.weight"].flatten(1), linear[1])
    assert torch.equal(own["conv5_3.weight"], tensors["features.28.weight"])


def test_convolutions_alone_leave_fc6_at_random_and_the_simple_network_takes_no_more(
    tmp_path: Path,
) -> None:
    network = paper("fcn32s-vgg16", fc6="1x1")
    own = network.state_dict()
    names = network.encoder_names(["classifier.0.weight"])
    path = tmp_path / "features.safetensors"
    safetensors.torch.save_file({names[n]: torch.randn_like(own[n]) for n in names}, path)
    load_pretrained(network, path)
    assert len(names) == 26
    load_pretrained(paper("fcn16s-vgg16"), path)
