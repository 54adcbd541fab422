"""The command as a whole: help, version, wrong usage, interruption."""

from __future__ import annotations

import runpy
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from cli.conftest import Command
from perpixel.cli.app import app, main
from perpixel.cli.scales import repeated
from perpixel.inference import predictor

COMMANDS = tuple(typer.main.get_command(app).commands)


def test_the_version_is_the_package_s(command: Command) -> None:
    assert command("--version").stdout == f"perpixel {version('perpixel')}\n"


def test_the_package_is_run_as_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["perpixel", "--version"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("perpixel", run_name="__main__")
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"perpixel {version('perpixel')}\n"


def test_help_names_every_command(command: Command) -> None:
    shown = command("--help")
    assert shown.exit_code == 0
    assert len(COMMANDS) > 10
    assert all(name in shown.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example(command: Command, name: str) -> None:
    shown = command(name, "--help")
    assert shown.exit_code == 0
    assert f"Example: perpixel {name} " in shown.stdout


@pytest.mark.parametrize(
    "arguments", [("fly",), ("train", "--epochs", "many"), ("train", "x", "--crop", "12")]
)
def test_wrong_usage_is_status_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).exit_code == 2


def test_the_console_script_reports_wrong_input_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "[red]odd[/red] folder"
    monkeypatch.setattr(sys, "argv", ["perpixel", "evaluate", str(folder / "m"), str(folder)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert str(folder / "m") in said.err


def test_ctrl_c_is_status_130(
    command: Command, monkeypatch: pytest.MonkeyPatch, model: Path, drawn: Path
) -> None:
    def interrupted(path: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(predictor, "load", interrupted)
    stopped = command("evaluate", model, drawn)
    assert stopped.exit_code == 130
    assert stopped.stderr == "Interrupted.\n"


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("M D --scales 0.75 1 1.25 --flip", "M D --scales 0.75 --scales 1 --scales 1.25 --flip"),
        ("--scales 1 2 M D", "--scales 1 --scales 2 M D"),
        ("M 3 --scales 1", "M 3 --scales 1"),
        ("--scales 1 --scales .5 2.", "--scales 1 --scales .5 --scales 2."),
        ("--scales", "--scales"),
    ],
)
def test_scales_takes_the_numbers_that_follow_it(given: str, understood: str) -> None:
    assert repeated(given.split()) == understood.split()
