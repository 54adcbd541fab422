"""The recipes with a record: every file is valid, has one command that parses, and a row."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer.main

from perpixel.cli.app import app
from perpixel.networks import build
from perpixel.training import TrainConfig, read_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recipes"
FILES = sorted(FOLDER.rglob("*.yaml"))
TRAIN = typer.main.get_command(app).commands["train"]


def benchmark(name: str) -> ModuleType:
    """A script of the benchmarks' folder, which is no package."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # where a script finds those beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


recipes, factors = benchmark("recipes"), benchmark("factors")
class_weights, with_table = benchmark("class_weights"), benchmark("page_table").with_table


def config(path: Path, **more: object) -> TrainConfig:
    return TrainConfig.of(**{**read_settings(path), "data": "d", "out": "o", **more})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_recipe_is_valid_and_its_network_can_be_built(path: Path) -> None:
    settings = config(path)
    with torch.device("meta"):
        build(settings.network_config(classes=11, bands=3))
    assert (settings.minutes is None) != (settings.epochs is None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_recipe_has_one_command_that_is_understood_and_names_it(path: Path) -> None:
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    program, train, *words = recipes.command(name)
    assert (program, train) == ("perpixel", "train")
    given = TRAIN.make_context("train", words).params
    assert ROOT / given["config_file"] == path
    assert given["data"] == Path("DATA")
    assert given["out"] is not None
    assert given["weights"] in (None, "VGG16")


def test_a_stage_begins_from_the_one_before() -> None:
    for name, before in (
        ("vgg16-fcn16s", "vgg16-fcn32s"),
        ("vgg16-fcn8s", "vgg16-fcn16s"),
        ("street-dice", "street"),
    ):
        words = recipes.arguments(name, 1, Path("camvid"), None, Path("R"))
        assert f"R/{before}-seed1/model.safetensors" in words
        assert words[words.index("--out") + 1] == f"R/{name}-seed1"
        assert words[-2:] == ["--seed", "1"]
        assert words[0] == "camvid"


def test_what_was_measured_had_the_recipe_s_settings() -> None:
    for name, runs in json.loads(recipes.KEPT.read_text(encoding="utf-8")).items():
        path = FOLDER / f"{name}.yaml"
        stated = config(path).model_dump(mode="json", include=read_settings(path).keys())
        for run in runs.values():
            assert {key: run["settings"][key] for key in stated} == stated, name


def test_a_trial_is_never_taken_for_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []

    def go(words: list[str]) -> None:
        trained.append(Path(words[words.index("--out") + 1]))

    def finished(folder: Path) -> dict[str, object] | None:
        return {"validation": {"mean_iou": 0.5}} if folder in trained else None

    monkeypatch.setattr(recipes, "go", go)
    monkeypatch.setattr(recipes, "finished", finished)
    monkeypatch.setattr(recipes, "KEPT", tmp_path / "recipes.json")
    monkeypatch.setattr(recipes, "save", lambda kept: None)
    line = ["recipes.py", "unet", "--data", "d", "--runs", str(tmp_path), "--seeds", "0"]
    for more in (["--minutes", "1"], []):
        monkeypatch.setattr(sys, "argv", [*line, *more])
        recipes.main()
    assert len(set(trained)) == 2


def test_vgg16_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--vgg16"):
        recipes.arguments("vgg16-fcn32s", 0, Path("d"), None, Path("R"))
    words = recipes.arguments("vgg16-fcn32s", 0, Path("d"), Path("v.safetensors"), Path("R"))
    assert words[words.index("--weights") + 1] == "v.safetensors"
    assert Path(words[words.index("--config") + 1]).is_file()


@pytest.mark.parametrize("commands", [0, 2])
def test_a_recipe_without_a_command_or_with_two_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: int
) -> None:
    (tmp_path / "a.yaml").write_text("# A.\n#\n" + "#   perpixel train a\n" * commands)
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=f"{commands} commands"):
        recipes.command("a")


def test_every_recipe_has_its_row_and_the_table_is_that_of_the_kept_results() -> None:
    assert sorted(recipes.NAMES) == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    kept = recipes.json.loads(recipes.KEPT.read_text(encoding="utf-8"))
    assert with_table(text, "benchmarks/recipes.py", recipes.table(kept)) == text


def test_a_row_says_what_was_measured() -> None:
    def run(score: float, seconds: float) -> dict[str, object]:
        return {
            "network": {"name": "fcn8s", "backbone": "vgg16"},
            "parameters": 3_140_000,
            "seconds": seconds,
            "validation": {"mean_iou": score},
            "machine": "A processor; 2 threads of 2 cores; Python 3.11; torch 2",
        }

    rows = recipes.table({"unet": {"1": run(0.7, 120), "0": run(0.75, 240)}}).splitlines()
    (row,) = [row for row in rows if row.startswith("| [unet]")]
    assert row == (
        "| [unet](unet.yaml) | fcn8s on vgg16 | 3.1 M | 3 | 0.750, 0.700 | 0.725 "
        "| A processor; 2 threads of 2 cores |"
    )
    assert sum("not measured yet" in row for row in rows) == len(recipes.NAMES) - 1


@pytest.mark.parametrize("name", sorted(factors.FACTORS))
def test_a_factor_is_valid_and_changes_something(name: str) -> None:
    changed = TrainConfig.of(data="d", out="o", **factors.settings(factors.FACTORS[name]))
    assert changed != TrainConfig.of(data="d", out="o", **factors.settings({}))


def test_factors_have_folders_of_their_own() -> None:
    folders = [factors.folder_of(Path("r"), name, 15.0, 0) for name in factors.FACTORS]
    assert len(set(folders)) == len(folders)
    assert factors.folder_of(Path("r"), "scale 0.5 … 2", 15.0, 1) == (
        Path("r/scale-0-5-2-15-minutes-seed1")
    )


def test_a_difference_within_the_baselines_spread_is_called_none() -> None:
    def run(score: float) -> dict[str, object]:
        return {"steps": 500, "validation": {"mean_iou": score}}

    kept = {
        "baseline": {"0": run(0.70), "1": run(0.71), "2": run(0.72)},
        "Dice 0.5": {"0": run(0.74)},
        "stride 8": {"0": run(0.69)},
        "label smoothing 0.05": {"0": run(0.67), "1": run(0.69)},
    }
    table = factors.table(kept)
    assert "| baseline | 500, 500, 500 | 0.7000, 0.7100, 0.7200 | 0.7100 | – | – |" in table
    assert "| Dice 0.5 | 500 | 0.7400 | 0.7400 | +0.0300 | better |" in table
    assert "| stride 8 | 500 | 0.6900 | 0.6900 | -0.0200 | none |" in table
    assert "smoothing 0.05 | 500, 500 | 0.6700, 0.6900 | 0.6800 | -0.0300 | worse |" in table
    assert table.count("not measured yet") == len(factors.FACTORS) - 3


def test_there_are_at_most_eight_factors_and_the_table_is_that_of_the_kept_runs() -> None:
    assert len(factors.FACTORS) <= 8
    kept = recipes.json.loads(factors.KEPT.read_text()) if factors.KEPT.is_file() else {"runs": {}}
    text = factors.PAGE.read_text(encoding="utf-8")
    table = factors.table(kept["runs"])
    assert with_table(text, "benchmarks/factors.py", table) == text


def test_the_table_of_class_weights_is_that_of_the_kept_scores() -> None:
    kept = recipes.json.loads(class_weights.KEPT.read_text(encoding="utf-8"))
    text = class_weights.PAGE.read_text(encoding="utf-8")
    table = class_weights.table(kept)
    assert with_table(text, "benchmarks/class_weights.py", table) == text


@pytest.mark.parametrize("page", ["", "<!-- table: a -->\n", "<!-- end -->"])
def test_a_page_without_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="table: a"):
        with_table(page, "a", "| 1 |")


def test_commands_of_recipes_are_plain_words() -> None:
    for name in recipes.NAMES:
        assert shlex.split(shlex.join(recipes.command(name))) == recipes.command(name)
