"""A model file: whole or not there, and refused where anything in it changed."""

from __future__ import annotations

import errno
import json
import os
import random
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from perpixel import checkpoint as module
from perpixel.checkpoint import (
    Checkpoint,
    read_checkpoint,
    stored_checksum,
    write_checkpoint,
)
from perpixel.errors import ModelError, OutputError
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing

CONFIG = FCNConfig(backbone="test_efficientnet", classes=2, head_channels=8, bands=3)


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(
        network=CONFIG,
        labels=LabelSpace.of(["sky", 'a "quoted" ünïcode "checksum":"' + "0" * 64 + '"']),
        preprocessing=Preprocessing(),
        weights=build(CONFIG).state_dict(),
        provenance={"command": "perpixel train", "scores": {"mean_iou": None}},
    )


@pytest.fixture
def path(model: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_checkpoint(path, model)
    return path


def rewritten(path: Path, change: dict[str, str], drop: str = "") -> Path:
    """The file with other metadata under a right checksum, or with one tensor dropped."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata() | change | {"checksum": "0" * 64}
    tensors = safetensors.torch.load_file(path)
    tensors.pop(drop, None)
    content = safetensors.torch.save(tensors, metadata)
    digest = module.hashlib.sha256(content).hexdigest()
    path.write_bytes(content.replace(module._UNSIGNED, f'"checksum":"{digest}"'.encode(), 1))
    return path


def test_what_is_written_is_read_back(model: Checkpoint, path: Path) -> None:
    found = read_checkpoint(path)
    assert found.network == model.network
    assert found.labels == model.labels
    assert found.preprocessing == model.preprocessing
    assert found.provenance == model.provenance
    assert found.weights.keys() == model.weights.keys()
    assert all(torch.equal(found.weights[name], model.weights[name]) for name in model.weights)
    images = torch.randn(1, 3, 40, 50)
    network = build(CONFIG).eval()
    network.load_state_dict(dict(model.weights))
    with torch.no_grad():
        assert torch.equal(found.restore()(images).scores, network(images).scores)


@pytest.mark.parametrize("backbone", ["test_resnet", "resnetblur18"])
def test_a_restored_network_computes_the_same(backbone: str, tmp_path: Path) -> None:
    # A blur's kernel is in no file: it is computed when the network is built.
    config = FCNConfig(name="fcn32s", backbone=backbone, classes=2, head_channels=8)
    network = build(config).eval()
    weights, labels = network.state_dict(), LabelSpace.of(["a", "b"])
    path = tmp_path / "model.safetensors"
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), weights))
    stored = read_checkpoint(path)
    restored, images = stored.restore(), torch.randn(1, 3, 50, 70)
    assert torch.equal(restored(images).scores, network(images).scores)
    assert all(weight.requires_grad for weight in restored.parameters())
    # Training it changes no weight of the checkpoint.
    with torch.no_grad():
        for weight in restored.parameters():
            weight.zero_()
    assert torch.equal(stored.restore()(images).scores, network(images).scores)


def test_any_safetensors_reader_can_read_it(model: Checkpoint, path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    assert tensors.keys() == model.weights.keys()
    with safetensors.safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["network"])["backbone"] == "test_efficientnet"


def test_tensors_in_any_order_of_memory_are_written(model: Checkpoint, tmp_path: Path) -> None:
    network = build(CONFIG).to(memory_format=torch.channels_last)
    weights = network.state_dict()
    names = [name for name in weights if name.endswith("bn1.bias")]
    weights[names[0]] = shared = torch.rand(64)[: weights[names[0]].shape[0]]
    weights[names[0].replace("bias", "weight")] = shared
    made = Checkpoint(CONFIG, model.labels, model.preprocessing, weights)
    write_checkpoint(tmp_path / "m.safetensors", made)
    found = read_checkpoint(tmp_path / "m.safetensors").weights
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_every_changed_byte_is_noticed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    length = 8 + struct.unpack("<Q", content[:8])[0]
    draw = random.Random(0)
    inside = content.index(b'"checksum"')
    places = [
        *range(8),
        *draw.sample(range(8, length), 40),
        *range(inside, inside + 84, 7),
        length - 1,
        *draw.sample(range(length, len(content)), 20),
        len(content) - 1,
    ]
    for place in places:
        kept = content[place]
        content[place] = kept ^ (1 << draw.randrange(8))
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)
        content[place] = kept
    path.write_bytes(content)
    read_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1])
def test_a_file_cut_short_is_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_other_files_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(ModelError, match="No such file"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path)
    path.write_bytes(b"not a model at all, only text")
    with pytest.raises(ModelError, match="no perpixel model"):
        read_checkpoint(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no perpixel model"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "provenance",
    [
        *("[]", '"x"', '{"a": NaN}', '{"validation": 5}', '{"validation": {"mean_iou": "x"}}'),
        *('{"validation": {"classes": []}}', '{"validation": {"classes": {"sky": 1}}}'),
        '{"validation": {"classes": {"sky": {"iou": "x"}}}}',
    ],
)
def test_a_provenance_of_another_form_is_refused(path: Path, provenance: str) -> None:
    with pytest.raises(ModelError, match="does not describe a model"):
        read_checkpoint(rewritten(path, {"provenance": provenance}))


def test_a_newer_format_asks_for_a_newer_perpixel(path: Path) -> None:
    with pytest.raises(ModelError, match=r"model format 3; expected format 2.*Upgrade"):
        read_checkpoint(rewritten(path, {"format_version": "3"}))


def test_weights_that_do_not_fit_are_listed(path: Path) -> None:
    wider = CONFIG.model_copy(update={"head_channels": 9}).model_dump_json()
    with pytest.raises(ModelError, match=r"lateral.32.0.weight is float32 8×64×1×1, not .* more"):
        read_checkpoint(rewritten(path, {"network": wider}))


def test_a_missing_tensor_is_named(path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks classify.1.bias\."):
        read_checkpoint(rewritten(path, {}, drop="classify.1.bias"))


def test_a_label_space_of_other_classes_does_not_fit(path: Path) -> None:
    three = LabelSpace.of(["a", "b", "c"]).model_dump_json()
    with pytest.raises(ModelError, match="3 classes named, 2 scored"):
        read_checkpoint(rewritten(path, {"labels": three}))


@pytest.mark.parametrize("key", ["network", "labels", "preprocessing", "provenance"])
def test_a_header_that_describes_no_model_is_refused(path: Path, key: str) -> None:
    with pytest.raises(ModelError, match="does not describe a model") as caught:
        read_checkpoint(rewritten(path, {key: '{"name": '}))
    assert "\n" not in str(caught.value)


def test_an_unknown_backbone_is_refused(path: Path) -> None:
    strange = CONFIG.model_copy(update={"backbone": "nonesuch"}).model_dump_json()
    with pytest.raises(ModelError, match="cannot be built"):
        read_checkpoint(rewritten(path, {"network": strange}))


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("key", ["network", "labels", "preprocessing", "provenance"])
def test_texts_too_deep_to_be_read_are_refused(path: Path, key: str) -> None:
    with pytest.raises(ModelError, match="does not describe a model") as caught:
        read_checkpoint(rewritten(path, {key: DEEP}))
    assert len(str(caught.value)) < 500


def test_a_header_too_deep_to_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(DEEP)) + DEEP.encode())
    for read in (read_checkpoint, stored_checksum):
        with pytest.raises(ModelError, match="no perpixel model"):
            read(path)


def test_a_format_of_thousands_of_digits_is_a_newer_one(path: Path) -> None:
    with pytest.raises(ModelError, match="Upgrade") as caught:
        read_checkpoint(rewritten(path, {"format_version": "9" * 5000}))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("size", [10**9, 10**18, 10**30])
@pytest.mark.parametrize("name", ["head_channels", "bands"])
def test_a_network_of_absurd_size_is_refused(path: Path, name: str, size: int) -> None:
    vast = CONFIG.model_copy(update={name: size}).model_dump_json()
    with pytest.raises(ModelError, match=r"cannot be built|do not fit the network") as caught:
        read_checkpoint(rewritten(path, {"network": vast}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    model: Checkpoint, path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = path.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_checkpoint(path, model)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_named(model: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_checkpoint(tmp_path / "missing" / "m.safetensors", model)


def test_the_checksum_of_a_file_is_read_without_its_weights(path: Path, tmp_path: Path) -> None:
    stored = stored_checksum(path)
    assert f'"checksum":"{stored}"'.encode() in path.read_bytes()
    assert len(stored) == 64
    for content in (b"", b"abc", b"\xff" * 40):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            stored_checksum(path)
    with pytest.raises(ModelError, match="cannot be read"):
        stored_checksum(tmp_path / "none.safetensors")
