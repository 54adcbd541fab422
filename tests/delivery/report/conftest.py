"""Two tiny trained runs on drawn scenes, and what was found out about them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perpixel.delivery.demo import write_scenes
from perpixel.delivery.report import Comparison, Findings, compare_runs
from perpixel.training import TrainConfig, train


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training, three validation and two test scenes; not to be changed."""
    folder = tmp_path_factory.mktemp("report") / "scenes"
    write_scenes(folder, 0, {"train": 4, "val": 3, "test": 2})
    return folder


@pytest.fixture(scope="session")
def runs(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs that differ in their seed and learning rate; not to be changed."""
    torch.set_num_threads(1)
    folders = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("slow", "fast <b>")):
        train(
            TrainConfig.of(
                data=scenes,
                out=folders / name,
                network="fcn8s",
                backbone="test_efficientnet",
                head_channels=8,
                weights="none",
                epochs=2,
                batch_size=2,
                precision="fp32",
                workers=0,
                seed=seed,
                learning_rate=0.001 * (1 + 9 * seed),
                augmentation={"crop": (64, 96)},
            )
        )
    return folders / "slow", folders / "fast <b>"


@pytest.fixture(scope="session")
def comparison(runs: tuple[Path, Path]) -> Comparison:
    return compare_runs(runs)


@pytest.fixture(scope="session")
def findings(comparison: Comparison) -> Findings:
    """Of the first run."""
    return comparison.runs[0]
