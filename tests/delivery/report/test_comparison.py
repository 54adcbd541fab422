"""Runs side by side: paired by image, and refused where they cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from delivery.report.reading import Reader, assert_self_contained
from perpixel.delivery.report import Comparison, compare_runs
from perpixel.delivery.report import comparison as comparison_module
from perpixel.delivery.report.comparison import comparison_page
from perpixel.delivery.report.page import score, signed
from perpixel.errors import ConfigError
from perpixel.metrics.bootstrap import Interval


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> str:
    return comparison_page(comparison)


def test_the_page_needs_no_other_file(page: str) -> None:
    assert_self_contained(page)


def test_the_page_holds_each_run_s_scores_and_the_interval(
    page: str, comparison: Comparison
) -> None:
    text = Reader(page).text
    first, second = (one.examination.scores for one in comparison.runs)
    (interval,) = comparison.intervals
    assert interval.difference == pytest.approx(second.mean_iou - first.mean_iou)
    for value in (first.mean_iou, second.mean_iou, *first.iou, *second.iou):
        assert score(float(value)) in text
    assert f"{signed(interval.low)} to {signed(interval.high)}" in text
    assert "slow" in text
    assert "fast <b>" in text


def test_settings_in_which_runs_differ_are_told_and_no_others(page: str) -> None:
    table = page[page.index('id="settings"') :]
    assert "learning_rate" in table
    assert "0.01" in table
    assert "batch_size" not in table


def test_the_seed_is_the_bootstrap_s(runs, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def recorded(first: np.ndarray, second: np.ndarray, *, seed: int) -> Interval:
        seeds.append(seed)
        return Interval(0.0, 0.0, 0.0)

    monkeypatch.setattr(comparison_module, "paired_bootstrap", recorded)
    compare_runs(runs, seed=7)
    assert seeds == [7]


def test_the_images_that_differ_most_come_first(page: str, comparison: Comparison) -> None:
    own = [[image.mean_iou for image in one.examination.images] for one in comparison.runs]
    spread = np.abs(np.subtract(*own))
    names = [pair.image.name for pair in comparison.runs[0].run.pairs]
    order = [names[index] for index in np.argsort(-spread) if spread[index] > 0]
    shown = [name for name in sorted(names, key=page.find) if name in page]
    assert shown == order


def test_one_run_is_nothing_to_compare(runs) -> None:
    with pytest.raises(ConfigError, match="two or more"):
        compare_runs(runs[:1])
    with pytest.raises(ConfigError, match="1 run; expected two or more"):
        compare_runs([runs[0], runs[0].parent / "." / runs[0].name, runs[0]])


def test_a_run_that_is_named_twice_counts_once(runs) -> None:
    # As `perpixel compare runs/fast runs/*` does.
    again = compare_runs([runs[1], *runs])
    assert [one.run.folder for one in again.runs] == [runs[1], runs[0]]
    assert len(again.intervals) == 1


def test_runs_on_other_data_are_refused_unless_the_data_is_given(
    runs, scenes: Path, tmp_path: Path
) -> None:
    elsewhere = Path(shutil.copytree(scenes, tmp_path / "elsewhere"))
    moved = Path(shutil.copytree(runs[0], tmp_path / "moved"))
    config = (moved / "config.yaml").read_text(encoding="utf-8")
    (moved / "config.yaml").write_text(config.replace(str(scenes), str(elsewhere)))
    with pytest.raises(ConfigError, match="--data"):
        compare_runs([runs[0], moved])
    (interval,) = compare_runs([runs[0], moved], data=scenes).intervals
    assert (interval.difference, interval.low, interval.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("folds", "told"),
    [
        ((2, 1), "a val split of 3 images, 1 of them"),
        ((3, 1), ""),
        ((3, 2), "a val split of 2 images, 0 of them"),
    ],
)
def test_runs_that_validate_on_other_images_are_not_paired(
    runs, scenes: Path, tmp_path: Path, folds: tuple[int, int], told: str
) -> None:
    # Five images that nobody has split: by 3 folds 2, 2 and 1 of them validate, by 2 folds 3.
    unsplit = tmp_path / "unsplit"
    shutil.copytree(scenes / "train", unsplit, dirs_exist_ok=True)
    for kind in ("images", "masks"):
        (source,) = sorted((scenes / "val" / kind).iterdir())[:1]
        shutil.copy(source, unsplit / kind / f"more{source.suffix}")
    shutil.copy(scenes / "classes.yaml", unsplit)

    def folded(name: str, count: int, number: int) -> Path:
        folder = Path(shutil.copytree(runs[0], tmp_path / name))
        settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        settings |= {"data": str(unsplit), "folds": count, "fold": number}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return folder

    first, other = folded("first", 3, 1), folded("other", *folds)
    for data in (None, unsplit):
        if not told:
            (interval,) = compare_runs([first, other], data=data).intervals
            assert interval.difference == 0
        else:
            with pytest.raises(
                ConfigError, match=f"other: {told} in that of .*/first; expected the same 2"
            ) as error:
                compare_runs([first, other], data=data)
            assert "\n" not in str(error.value)


def test_runs_with_the_same_name_are_told_apart(runs, tmp_path: Path) -> None:
    twin = Path(shutil.copytree(runs[0], tmp_path / "slow"))
    names = [one.name for one in compare_runs([runs[0], twin]).runs]
    assert names == [str(runs[0]), str(twin)]


def test_an_epoch_without_a_score_is_drawn_as_none(comparison: Comparison, tmp_path: Path) -> None:
    epochs = json.loads(json.dumps(comparison.runs[0].run.epochs))
    epochs[0]["validation"]["mean_iou"] = None
    comparison.runs[0].run.epochs[:], kept = epochs, list(comparison.runs[0].run.epochs)
    try:
        assert_self_contained(comparison_page(comparison))
    finally:
        comparison.runs[0].run.epochs[:] = kept
