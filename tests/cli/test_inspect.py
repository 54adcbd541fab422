"""`perpixel inspect`: names, model files, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import perpixel
from cli.conftest import Command
from perpixel.networks.inspection import inspect


def test_the_papers_network_has_the_papers_numbers(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "fcn32s.json"
    shown = command("inspect", "fcn32s-vgg16", "--size", "500x500", "--json", file)
    assert shown.exit_code == 0, shown.output
    assert "404" in shown.stdout
    assert "exact in tiles" in shown.stdout
    numbers = json.loads(file.read_text(encoding="utf-8"))
    fc6 = next(layer for layer in numbers["layers"] if layer["name"] == "fc6")
    assert fc6["receptive_field"] == [404, 404]
    assert fc6["stride"] == [32, 32]
    assert fc6["shape"] == [1, 4096, 16, 16]
    assert numbers["exact_in_tiles"] is True


def test_a_model_file_shows_what_the_library_computes(
    command: Command, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.json"
    shown = command("inspect", model, "--size", "64x96", "--json", file)
    assert shown.exit_code == 0, shown.output
    network = perpixel.load(model).network
    assert json.loads(file.read_text(encoding="utf-8")) == inspect(network, (64, 96)).as_json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fcn8",), "fcn8s"),
        (("fcn8s-vgg16", "--size", "big"), "height x width"),
        (("fcn8s-vgg16", "--size", "0x5"), "height x width"),
        (("none.safetensors",), "none.safetensors"),
        (("none.safetensors", "--classes", 3), "Leave it out"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    command: Command, arguments: tuple[object, ...], said: str
) -> None:
    shown = command("inspect", *arguments)
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1
    assert said in shown.stderr


def test_more_classes_than_a_network_can_have_are_refused(command: Command) -> None:
    shown = command("inspect", "fcn8s-vgg16", "--classes", 70_000)
    assert shown.exit_code == 2
    assert "65535" in shown.stderr
