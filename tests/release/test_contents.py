"""What is in the wheel and in the sdist: all of it, nothing else, and the same from either."""

from __future__ import annotations

import email
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from markdown_it import MarkdownIt
from packaging.requirements import Requirement

from perpixel.distribution.included import included
from release.conftest import ROOT, build

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = ROOT / "src" / "perpixel"
LARGEST = 1_000_000
OURS = {
    path.relative_to(SOURCE).as_posix()
    for path in SOURCE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    folder = f"perpixel-{PROJECT['version']}.dist-info"
    names = contents(wheel).keys()
    theirs = {name for name in names if not name.startswith(f"{folder}/")}
    assert theirs == {f"perpixel/{name}" for name in OURS}
    assert f"{folder}/licenses/LICENSE" in names
    assert {"py.typed", "models/README.md", "delivery/report/templates/report.html"} <= OURS


def test_the_models_that_come_along_are_in_the_wheel(wheel: Path) -> None:
    held = contents(wheel)
    for name, path in included().items():
        assert held[f"perpixel/models/{name}.safetensors"] == path.read_bytes()
        assert f"perpixel/models/{name}.md" in held


def test_the_metadata_is_what_an_index_asks_for(metadata: Message) -> None:
    assert metadata["Name"] == PROJECT["name"]
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["Summary"] == PROJECT["description"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] is not None
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    required = {
        Requirement(one).name
        for one in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in one
    }
    assert required == {Requirement(one).name for one in PROJECT["dependencies"]}


def test_the_entry_point_is_the_command(wheel: Path) -> None:
    held = contents(wheel)
    (text,) = [content for name, content in held.items() if name.endswith("entry_points.txt")]
    assert b"perpixel = perpixel.cli.app:main" in text


def test_the_description_is_the_readme_and_renders(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert text.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert page.count("<h1>") == 1
    assert "<table>" in page
    assert page.count("<pre><code") == text.count("\n```") // 2
    # Nothing of the marks is left over in the text.
    assert "```" not in page
    assert "](" not in page


def test_the_sdist_holds_what_its_tests_read_and_no_data(sdist: Path) -> None:
    root = f"perpixel-{PROJECT['version']}"
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name.removeprefix(f"{root}/") for member in members}
    assert all(member.name.startswith(f"{root}/") and member.isfile() for member in members)
    for name in ("README.md", "SECURITY.md", "LICENSE", "Makefile", "mkdocs.yml", "PKG-INFO"):
        assert name in names
    folders = {PurePosixPath(name).parts[0] for name in names if "/" in name}
    assert folders == {"src", "tests", "docs", "recipes", "benchmarks", ".ci"}
    assert {f"src/perpixel/{name}" for name in OURS} <= names
    models = {f"src/perpixel/models/{path.name}" for path in included().values()}
    large = [one.name for one in members if one.size > LARGEST]
    assert {name.removeprefix(f"{root}/") for name in large} <= models
    data = (".pth", ".npy", ".npz", ".tif", ".safetensors", ".onnx", ".bin", ".pyc")
    assert {name for name in names if name.endswith(data)} <= models


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "out", "--wheel")
    (again,) = (tmp_path / "out").glob("*.whl")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)
