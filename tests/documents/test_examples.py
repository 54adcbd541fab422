"""The Python of the pages runs, and its numbers are what is computed."""

from __future__ import annotations

import doctest
import shutil
import warnings
from pathlib import Path

import pytest
from cli.conftest import call

from documents.conftest import PAGES, script
from perpixel.delivery.demo import write_scenes

blocks = script("blocks")
NUMBERED = [page for page, text in PAGES.items() if blocks.blocks(text, "pycon")]
# The README's is run by tests/test_readme.py, which has a training of its own.
SCRIPTS = [
    pytest.param(block.text, id=f"{page} {number}")
    for page, text in PAGES.items()
    if page.startswith("docs/")
    for number, block in enumerate(blocks.blocks(text, "python"), 1)
]


@pytest.mark.parametrize("page", NUMBERED)
def test_the_numbers_of_a_page_are_those_that_are_computed(page: str) -> None:
    source = "\n".join(block.text for block in blocks.blocks(PAGES[page], "pycon"))
    test = doctest.DocTestParser().get_doctest(source, {}, page, page, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append)
    assert test.examples
    assert "".join(said) == ""


def test_the_explanation_of_fcns_is_one_of_those_pages() -> None:
    assert "docs/fcn.md" in NUMBERED


@pytest.fixture
def folder(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples take for granted: scenes, an image, a model of a run."""
    write_scenes(tmp_path / "photographs", 0, {"train": 2, "val": 1})
    shutil.copy(next((tmp_path / "photographs/val/images").iterdir()), tmp_path / "street.jpg")
    (tmp_path / "runs/a").mkdir(parents=True)
    shutil.copy(model, tmp_path / "runs/a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", SCRIPTS)
def test_an_example_runs(source: str, folder: Path) -> None:
    if "write_scenes" in source:
        shutil.rmtree(folder / "photographs")
        source = source.replace('"train": 160, "val": 24', '"train": 2, "val": 1')
    with warnings.catch_warnings():
        if "transformers" in source or "segmentation_models" in source:
            warnings.simplefilter("ignore")  # theirs
        exec(compile(source, "example", "exec"), {})


def test_the_drawn_folder_of_the_tutorial_is_one_that_can_be_trained_on(folder: Path) -> None:
    shutil.rmtree(folder / "photographs")
    (block,) = blocks.blocks(PAGES["docs/tutorial.md"], "python")
    exec(block.text.replace('"train": 160, "val": 24', '"train": 2, "val": 1'), {})
    scored = call("evaluate", "runs/a/model.safetensors", "photographs")
    assert scored.exit_code == 0
