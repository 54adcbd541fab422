"""The shape of the package: imports go one way, files are short, and only the command speaks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import perpixel

ROOT = Path(perpixel.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# Reading order: a part imports from those before it.
ORDER = (
    "errors",
    "whole_file",
    "machine",
    "labels",
    "preprocessing",
    "score_map",
    "kernels",
    "data",
    "networks",
    "metrics",
    "rounding",
    "provenance",
    "checkpoint",
    "distribution",
    "inference",
    "training",
    "delivery",
    "cli",
)
# The public names, which come from everywhere, and the command as a module.
WITHOUT_ORDER = {"__init__", "public", "__main__"}
SIBLINGS = {"kernels", "data", "networks", "metrics"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
LONGEST = 300
PROJECT = Path(__file__).parents[1]


def imported(source: str) -> set[str]:
    """Every `perpixel` module that the source imports, wherever in the file, as dotted names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "perpixel"}


def wrong_arrows(part: str, source: str) -> list[str]:
    """What a file of this part imports but must not."""
    allowed = set(ORDER[: ORDER.index(part) + 1])
    if part in SIBLINGS:
        allowed -= SIBLINGS - {part}
    return sorted(name for name in imported(source) if name.split(".")[1] not in allowed)


def spoken(source: str) -> list[str]:
    """Where a source prints or exits."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name in {"print", "exit", "quit", "sys.exit", "os._exit", "SystemExit"}:
            found.append(f"line {node.lineno}: {name}")
    return found


def part_of(file: Path) -> str:
    """The line of the reading order that a file belongs to."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    if part_of(file) not in WITHOUT_ORDER:
        assert wrong_arrows(part_of(file), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("labels", "from perpixel.score_map import ScoreMap"),
        ("data", "from perpixel.networks import build"),
        ("metrics", "def late():\n    from perpixel import kernels"),
        ("networks", "import perpixel.data.decode"),
        ("training", "from perpixel.cli.app import app"),
    ],
)
def test_a_wrong_arrow_is_seen(part: str, source: str) -> None:
    assert len(wrong_arrows(part, source)) == 1


def test_every_part_has_its_place_in_the_order() -> None:
    assert {part_of(file) for file in FILES} - WITHOUT_ORDER <= set(ORDER)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_the_command_prints_or_exits(file: Path) -> None:
    found = spoken(file.read_text(encoding="utf-8"))
    if file == ROOT / "data/worker.py":
        # A loading process ends itself; its training process goes on.
        (end,) = found
        assert end.endswith("os._exit")
    elif part_of(file) != "cli":
        assert found == []


@pytest.mark.parametrize("source", ["print(1)", "import sys\nsys.exit(2)", "raise SystemExit(1)"])
def test_a_print_or_an_exit_is_seen(source: str) -> None:
    assert len(spoken(source)) == 1


def test_files_are_short_and_named_for_what_they_hold() -> None:
    others = [
        path for part in ("tests", "benchmarks", "docs") for path in (PROJECT / part).rglob("*.py")
    ]
    for file in (*FILES, *others):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST, file
        assert not VAGUE & {file.stem, file.parent.name}, file


@pytest.mark.parametrize("module", ["perpixel", "perpixel.cli.app"])
def test_torch_is_not_imported_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What Windows, or macOS, has not; the script ends with an error where an import needs it.
LACKING = """
import os, signal, sys
import torch  # goes by the system's name there
for name in ("fcntl", "grp", "pwd", "termios"):
    sys.modules[name] = None
del os.posix_fallocate, os.pread, os.pwrite, os.fork, os.register_at_fork
del signal.SIGKILL, signal.SIGCHLD
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_train_predict_and_demo_are_imported_where_linux_is_not() -> None:
    modules = [
        "perpixel.kernels.cpu",
        "perpixel.training",
        "perpixel.inference.folder",
        "perpixel.delivery.demo",
    ]
    modules += ["perpixel.cli.train", "perpixel.cli.predict", "perpixel.cli.demo"]
    command = [sys.executable, "-c", LACKING, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_declared_for_type_checkers() -> None:
    declared = {name.rsplit(".", 1)[1] for name in imported((ROOT / "public.py").read_text())}
    assert declared == set(perpixel.__all__)
    for name in perpixel.__all__:
        assert getattr(perpixel, name).__name__ == name
        assert name in dir(perpixel)


def test_an_unknown_public_name_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        perpixel.segment  # noqa: B018
