"""The demo, on a few scenes: what it leaves, and that it can be run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data.decode import read_image, read_mask
from perpixel.data.layouts import open_dataset
from perpixel.delivery import demo
from perpixel.delivery.demo import MARK, STAGES, run_demo, write_scenes
from perpixel.delivery.scenes import CLASSES, HEIGHT, WIDTH, draw
from perpixel.errors import ConfigError, OutputError
from perpixel.training import Silence


class Heard(Silence):
    """Keeps the lines of every stage."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    @contextmanager
    def watch(self, stage: str) -> Iterator[Heard]:
        self.lines[stage] = []
        yield self

    def line(self, text: str) -> None:
        self.lines[list(self.lines)[-1]].append(text)


def test_written_scenes_are_a_dataset_of_what_was_drawn(tmp_path: Path) -> None:
    write_scenes(tmp_path, 4, {"train": 2, "val": 1})
    dataset = open_dataset(tmp_path)
    assert dataset.labels == CLASSES
    pairs = [*dataset.split("train"), *dataset.split("val")]
    for index, pair in enumerate(pairs):
        image, mask = draw(4, index)
        assert pair.mask is not None
        assert np.array_equal(read_image(pair.image).transpose(1, 2, 0), image)
        assert np.array_equal(read_mask(pair.mask), mask)


def test_the_demo_trains_in_stages_and_draws_its_picture(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    heard = Heard()
    epochs = dict.fromkeys(STAGES, 1)
    out = tmp_path / "demo"
    result = run_demo(out, 0, heard.watch, scenes={"train": 4, "val": 2}, epochs=epochs)
    assert list(result.scores) == list(heard.lines) == list(STAGES)
    for coarser, finer in pairwise(STAGES):
        start = f"from {out / coarser / 'model.safetensors'}"
        assert any(line.startswith(start) for line in heard.lines[finer])
    with Image.open(result.picture) as picture:
        assert picture.width > 6 * 2 * WIDTH
        assert picture.height > 2 * 2 * HEIGHT


def test_a_second_demo_replaces_the_first_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    out.mkdir()
    (out / MARK).write_text("{}", encoding="utf-8")
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    for name in ("data", *STAGES):
        (out / name).mkdir()
        (out / name / "old").write_text("old", encoding="utf-8")
    monkeypatch.setattr(demo, "STAGES", ())
    monkeypatch.setattr(demo, "compare", lambda *_: Image.new("RGB", (2, 2)))
    run_demo(out, 0, Heard().watch, scenes={"train": 1, "val": 1})
    assert (out / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert not (out / "data" / "old").exists()


def test_a_folder_that_no_demo_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="no demo wrote"):
        run_demo(tmp_path, 0, Heard().watch)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="file"):
        run_demo(tmp_path / "file" / "demo", 0, Heard().watch)
