"""Tab completes commands and options, by what `--install-completion` puts into a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PERPIXEL = Path(sys.executable).with_name("perpixel")


def run(*arguments: str, **environment: str) -> str:
    """What the console script prints."""
    return subprocess.run(
        [PERPIXEL, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("perpixel tr", "train"), ("perpixel train --min", "--minutes")],
)
def test_bash_is_offered_what_can_follow(typed: str, completed: str) -> None:
    offered = run(
        _PERPIXEL_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(len(typed.split()) - 1),
    )
    assert offered.split() == [completed]


def test_installing_writes_into_the_shell_s_start_up_file(tmp_path: Path) -> None:
    # The name of a shell instead of looking at the process that called.
    hidden = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    run("--install-completion", "bash", **hidden)
    start_up = (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert "perpixel" in start_up
    checked = subprocess.run(["bash", "-n", tmp_path / ".bashrc"], check=False)
    assert checked.returncode == 0
