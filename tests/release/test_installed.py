"""The wheel in an empty environment and an empty folder, without a network: it predicts."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest
from cli.conftest import drawn, model, run
from PIL import Image

from perpixel.distribution.included import included

__all__ = ["drawn", "model", "run"]


@pytest.fixture(scope="module")
def programs(installed: ModuleType, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that borrows all but perpixel from this one."""
    folder: Path = installed.environment(
        tmp_path_factory.mktemp("installed") / "venv", wheel, borrow=True
    )
    return folder


@pytest.fixture
def empty(tmp_path: Path, drawn: Path) -> Path:
    """A folder with a photograph and nothing else."""
    (tmp_path / "empty").mkdir()
    with Image.open(next((drawn / "val/images").iterdir())) as image:
        image.save(tmp_path / "empty/photo.jpg")
    return tmp_path / "empty"


def test_it_is_the_wheel_that_is_imported(
    installed: ModuleType, programs: Path, empty: Path, tmp_path: Path
) -> None:
    code = (
        "import perpixel, importlib.metadata as m; print(perpixel.__file__, m.version('perpixel'))"
    )
    _, said = installed.call([programs / "python", "-c", code], empty, tmp_path)
    file, version = said.split()
    assert Path(file).is_relative_to(programs.parent)
    assert version in str(next(programs.parent.rglob("perpixel-*.dist-info")))


@pytest.mark.parametrize(
    "asked", ["socket().connect(('127.0.0.1', 9))", "getaddrinfo('localhost', 9)"]
)
def test_there_is_no_network(
    installed: ModuleType, programs: Path, empty: Path, tmp_path: Path, asked: str
) -> None:
    with pytest.raises(RuntimeError, match="there is no network here"):
        installed.call(
            [programs / "python", "-c", f"import socket; socket.{asked}"], empty, tmp_path
        )


def test_the_command_helps_and_says_its_version(
    installed: ModuleType, programs: Path, empty: Path, tmp_path: Path
) -> None:
    _, said = installed.call([programs / "perpixel", "--help"], empty, tmp_path)
    assert "push" in said
    _, said = installed.call([programs / "perpixel", "--version"], empty, tmp_path)
    assert said.startswith("perpixel ")


@pytest.mark.parametrize("name", ["tiny", *sorted(included())])
def test_a_model_that_comes_along_predicts(
    installed: ModuleType, programs: Path, empty: Path, tmp_path: Path, model: Path, name: str
) -> None:
    if name == "tiny":
        (folder,) = programs.parent.rglob("perpixel/models")
        shutil.copy(model, folder / "tiny.safetensors")
    command = [programs / "perpixel", "predict", name, "photo.jpg", "--runtime", "torch"]
    installed.call(command, empty, tmp_path)
    results = sorted(path.name for path in (empty / "predicted").iterdir())
    assert results == ["photo.png", "photo_overlay.jpg"]
    with (
        Image.open(empty / "photo.jpg") as photo,
        Image.open(empty / "predicted/photo.png") as mask,
    ):
        assert mask.size == photo.size
