"""`perpixel explain` and `perpixel heatmap` on tiny drawn scenes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.conftest import Command

KINDS = ("heat_maps", "certainty", "skips", "pixel", "upsampling")


@pytest.fixture(scope="module")
def image(drawn: Path) -> Path:
    """One of the drawn scenes."""
    return min((drawn / "val" / "images").iterdir())


def test_all_pictures_are_written(
    command: Command, model: Path, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shown = command("explain", model, image, "--out", out, "--pixel", "20,30", "--class", "tree")
    assert shown.exit_code == 0, shown.output
    assert {path.stem for path in out.iterdir()} == set(KINDS)
    for kind in KINDS:
        assert f"wrote {out / kind}.png" in shown.stdout
        with Image.open(out / f"{kind}.png") as picture:
            assert picture.format == "PNG"
    assert "left out" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pixel", "20"), "--pixel"),
        (("--pixel", "20,-3"), "--pixel"),
        (("--pixel", "2000,3"), "200×150"),
        (("--class", "treee"), "'tree'"),
    ],
)
def test_wrong_wishes_are_one_line_and_status_2(
    command: Command, model: Path, image: Path, tmp_path: Path, arguments: tuple[str], said: str
) -> None:
    shown = command("explain", model, image, "--out", tmp_path / "out", *arguments)
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert said in shown.stderr
    assert not (tmp_path / "out").exists()


def test_a_heatmap_is_written_without_a_model(
    command: Command, image: Path, tmp_path: Path
) -> None:
    file = tmp_path / "cat.png"
    shown = command("heatmap", image, "--class", "tabby cat", "--out", file)
    assert shown.exit_code == 0, shown.output
    with Image.open(file) as picture:
        assert picture.format == "PNG"


def test_an_unknown_class_suggests_near_ones(command: Command, image: Path, tmp_path: Path) -> None:
    shown = command("heatmap", image, "--class", "cat", "--out", tmp_path / "cat.png")
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert "'tabby cat'" in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["explain", "heatmap"])
def test_the_help_has_an_example(command: Command, name: str) -> None:
    shown = command(name, "--help")
    assert shown.exit_code == 0
    assert f"Example: perpixel {name} " in shown.stdout
