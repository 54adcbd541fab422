"""Names of models that come along: the files of a folder; every other text is a path."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

import perpixel
from perpixel.checkpoint import read_checkpoint
from perpixel.distribution import included as module
from perpixel.distribution.included import FOLDER, card_of, included
from perpixel.distribution.model_file import model_file
from perpixel.distribution.publication import licence_of
from perpixel.errors import ModelError
from perpixel.inference.predictor import load
from perpixel.networks import NetworkName
from perpixel.training import TrainConfig


@pytest.fixture
def street(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that come along, which holds `street` alone."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(module, "FOLDER", folder)
    (folder / "README.md").write_text("no model")
    (folder / "street.md").write_text("# street")
    return Path(shutil.copy(tiny, folder / "street.safetensors"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_files_of_the_folder_are_the_list(street: Path) -> None:
    assert included() == {"street": street}
    shutil.copy(street, street.with_name("field.safetensors"))
    assert list(included()) == ["field", "street"]


def test_a_name_is_a_model_that_comes_along(street: Path, elsewhere: Path) -> None:
    assert model_file("street") == street
    assert load("street").labels == load(street).labels


def test_a_file_of_that_name_is_reached_by_its_path(street: Path, elsewhere: Path) -> None:
    (elsewhere / "street").write_text("something else")
    assert model_file("street") == street
    assert model_file("./street") == Path("street")
    assert model_file(Path("street")) == Path("street")
    with pytest.raises(ModelError, match="street: no perpixel model"):
        load("./street")


@pytest.mark.parametrize("text", ["a.safetensors", "runs/a", "../a", "/a", "street.onnx"])
def test_every_other_text_is_a_path(street: Path, text: str) -> None:
    assert model_file(text) == Path(text)


def test_a_name_that_nothing_has_is_said_with_those_that_are(street: Path, elsewhere: Path) -> None:
    with pytest.raises(ModelError, match="expected street or the path of a model file or hf://"):
        model_file("stret")
    (elsewhere / "stret").touch()
    with pytest.raises(ModelError, match=r"the file is \./stret"):
        model_file("stret")


def test_only_a_model_that_comes_along_has_a_card_beside_it(street: Path, tiny: Path) -> None:
    assert card_of(street) == street.with_name("street.md")
    assert card_of(tiny) is None
    street.with_name("street.md").unlink()
    assert card_of(street) is None


def test_a_training_begins_from_a_name_and_remembers_what_was_meant(tmp_path: Path) -> None:
    for given, kept in (
        ("street", "street"),
        ("./street", "./street"),
        (Path("street"), "./street"),
        (Path("runs/a/model.safetensors"), "runs/a/model.safetensors"),
        ("hf://somebody/streets@v1", "hf://somebody/streets@v1"),
        (None, None),
    ):
        config = TrainConfig(data=tmp_path, out=tmp_path, init_from=given)
        assert config.init_from == kept
        (tmp_path / "config.yaml").write_text(config.as_yaml(), encoding="utf-8")
        assert TrainConfig.read(tmp_path / "config.yaml").init_from == kept


def test_no_model_that_comes_along_is_called_like_a_network() -> None:
    assert not set(included()) & set(get_args(NetworkName))


@pytest.mark.parametrize("name", sorted(included()))
def test_a_model_that_comes_along_is_small_has_a_licence_and_a_card(name: str) -> None:
    path = included()[name]
    model = read_checkpoint(path)
    assert path.stat().st_size <= 8e6
    assert sum(tensor.numel() for tensor in model.weights.values()) <= 6.1e6
    assert licence_of(model)
    assert card_of(path)
    assert b"/home/" not in path.read_bytes()
    assert perpixel.load(name).labels.names


def test_the_folder_is_the_packages_own() -> None:
    assert FOLDER.is_dir()
    assert FOLDER.is_relative_to(Path(perpixel.__file__).parent)
