"""A plan for a set of drawn grey pictures, and the recipe that it is written as."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from perpixel.data.division import Folds
from perpixel.data.layouts import open_dataset
from perpixel.errors import ConfigError
from perpixel.training import TrainConfig, plan, write_recipe

CLASSES = "classes: [ground, disc, ring, bar]\nignore_index: 255\n"


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty grey pictures of 256×256: discs, rings and bars on noise, in folders without splits."""
    root = tmp_path_factory.mktemp("grey")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        mask = np.zeros((256, 256), np.uint8)
        centres = rng.integers(40, 216, (3, 2)).tolist()
        cv2.circle(mask, centres[0], 30, 1, -1)
        cv2.circle(mask, centres[1], 24, 2, 6)
        cv2.line(mask, centres[2], (centres[2][0] // 2, 250), 3, 5)
        picture = rng.integers(0, 60, mask.shape) + np.array([20, 190, 140, 90])[mask]
        name = f"{number:02d}.png"
        cv2.imwrite(str(root / "images" / name), picture.astype(np.uint8))
        cv2.imwrite(str(root / "masks" / name), mask)
    (root / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    return root


def test_a_small_grey_set_gets_sensible_settings_without_help(grey: Path) -> None:
    told: list[tuple[int, int]] = []
    planned = plan(grey, progress=lambda done, total: told.append((done, total)))
    chosen = {choice.setting: choice.value for choice in planned.choices}
    assert planned.layout == "flat"
    assert planned.largest == (256, 256)
    assert chosen["network"] == "fcn4s"  # the rings are six pixels wide
    assert chosen["crop"] == (256, 256)
    assert chosen["batch_size"] == 4  # of 32 training images, so that an epoch has some steps
    assert chosen["epochs"] == 200
    assert chosen["normalisation"] == "weights"
    assert chosen["class_weights"] == "inverse-log"
    assert chosen["balance"] == 0.0
    assert told[-1] == (32, 32)


def test_a_recipe_holds_the_choices_and_what_was_asked(grey: Path, tmp_path: Path) -> None:
    planned = plan(grey, layout="flat", minutes=3.0)
    path = tmp_path / "plan.yaml"
    write_recipe(path, planned.choices, layout="flat", minutes=3.0)
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = TrainConfig.of(data=grey, out=tmp_path / "run", **settings)
    assert (config.layout, config.minutes, config.epochs) == ("flat", 3, None)
    assert config.augmentation.crop == (256, 256)
    for choice in planned.choices:
        if choice.setting != "crop":
            assert getattr(config, choice.setting) == choice.value
    with pytest.raises(ConfigError, match="is there already"):
        write_recipe(path, planned.choices)


def test_a_run_opens_its_data_in_the_folds_that_it_was_trained_on(
    grey: Path, tmp_path: Path
) -> None:
    config = TrainConfig.of(data=tmp_path / "elsewhere", out=tmp_path / "run", folds=4, fold=2)
    held_out = config.dataset(grey).split("val")
    assert held_out == open_dataset(grey, None, Folds.of(4, 2)).split("val")
    assert held_out != open_dataset(grey).split("val")
