"""Every command line of the README and of the pages is one that the program understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from cli.conftest import call

from documents.conftest import DOCS, PAGES, ROOT, script
from perpixel.cli.app import app

blocks = script("blocks")
LINES = [(page, line) for page, text in PAGES.items() for line in blocks.command_lines(text)]
COMMANDS = typer.main.get_command(app).commands
ENVIRONMENT = {
    "python3 -m venv .venv",
    "source .venv/bin/activate",
    "pip install -c constraints.txt .",
}


def understood(line: str) -> bool:
    """Whether the command would be accepted; `perpixel`'s own parser raises where it would not."""
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:1] == ["srun"]:
        words = words[1:]
    if words[:1] == ["torchrun"] and "--no-python" in words:
        options, words = (
            words[: words.index("--no-python")],
            words[words.index("--no-python") + 1 :],
        )
        return "--nproc_per_node" in options and understood(shlex.join(words))
    match words:
        case ["perpixel", "--install-completion" | "--show-completion"]:
            return True
        case ["perpixel", name, *arguments]:
            command = COMMANDS.get(name)
            return command is not None and command.make_context(name, arguments).args == []
        case ["make", target, *_]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            return bool(re.search(rf"^{target}:", makefile, re.MULTILINE))
        case ["python", "docs/pictures.py", name, *_]:
            pictures = script("pictures")
            return name in {**pictures.ABOUT_AN_IMAGE, **pictures.BY_THEMSELVES}
        case ["python", file, *_]:
            return (ROOT / file).is_file()
        case [".ci/run"]:
            return (ROOT / ".ci" / "run").is_file()
    return line in ENVIRONMENT


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line}" for page, line in LINES])
def test_a_command_line_is_understood(page: str, line: str) -> None:
    assert understood(line)


@pytest.mark.parametrize(
    "line",
    [
        "perpixel fly",
        "make coffee",
        "python docs/nothing.py",
        "python docs/pictures.py nothing",
        "sudo rm",
        "torchrun --no-python perpixel train a --out b",
        "torchrun --nproc_per_node 2 --no-python rm a",
    ],
)
def test_a_line_that_nothing_understands_is_seen(line: str) -> None:
    assert not understood(line)


@pytest.mark.parametrize("line", ["perpixel train a --epoks 3", "perpixel report"])
def test_a_wrong_command_of_ours_is_seen(line: str) -> None:
    with pytest.raises(Exception, match=r"epoks|run"):
        understood(line)


def test_every_command_is_shown_on_a_page() -> None:
    shown = {line.split()[1] for _, line in LINES if line.startswith("perpixel ")}
    assert set(COMMANDS) <= shown


def test_the_tutorial_goes_from_a_folder_to_the_report_of_a_trained_model() -> None:
    lines = blocks.command_lines(PAGES["docs/tutorial.md"])
    names = [line.split()[1] for line in lines if line.startswith("perpixel ")]
    wanted = ["train", "evaluate", "predict", "explain", "report"]
    assert names[: len(wanted)] == wanted


def test_the_tutorials_script_runs_all_of_its_code_in_order() -> None:
    run = script("run_tutorial")
    text = run.as_script(PAGES["docs/tutorial.md"])
    places = [
        text.index(part)
        for part in ("pip install", "write_scenes(", "perpixel train", "perpixel compare")
    ]
    assert places == sorted(places)
    assert text.startswith("set -euo pipefail\n")


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_a_page_is_in_the_navigation(page: str) -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f": {Path(ROOT / page).relative_to(DOCS).as_posix()}\n" in listed


def test_links_and_pictures_lead_to_files() -> None:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            # Those are drawn when the pages are built, which checks them.
            made = target.removeprefix("../").startswith(("pictures/", "reference/commands.md"))
            if not made and not target.startswith("http"):
                assert ((ROOT / page).parent / target).resolve().is_file(), f"{page}: {target}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_has_an_example_that_is_understood(name: str) -> None:
    (example,) = re.findall(r"Example: (perpixel .*)", COMMANDS[name].help or "")
    assert understood(example.strip())
    assert f"Example: perpixel {name} " in call(name, "--help").stdout
