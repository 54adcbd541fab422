"""The README's example runs. Its commands are tested with all other pages', in tests/documents."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import perpixel
from perpixel.delivery.demo import write_scenes

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "photographs", 0, {"train": 2, "val": 1})
    shutil.copy(next((tmp_path / "photographs/val/images").iterdir()), tmp_path / "street.jpg")
    really_train = perpixel.train

    def train_a_little(config: perpixel.TrainConfig) -> perpixel.TrainResult:
        small = {"epochs": 1, "batch_size": 2, "precision": "fp32", "workers": 0}
        tiny = {"backbone": "test_efficientnet", "weights": "none"}
        return really_train(config.model_copy(update=small | tiny))

    monkeypatch.setattr(perpixel, "train", train_a_little)
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    exec(example, {})
    assert (tmp_path / "street_overlay.png").is_file()
