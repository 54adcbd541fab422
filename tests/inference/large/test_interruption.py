"""Interrupted runs go on: nothing is done twice, and nothing of another mask is taken up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.large.scene import CONFIG, LABELS
from perpixel.data.source import Source
from perpixel.errors import OutputError
from perpixel.inference.large import large_image
from perpixel.inference.large.prediction import Progress, predict_large
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.inference.tiles.tiler import Tiler
from perpixel.inference.tiles.tiling import TilePlan
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing
from tests.data.rasters import UTM, write_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


class StopError(Exception):
    """An interruption of the tests' own."""


@pytest.mark.parametrize("kind", ["geotiff", "png"])
@pytest.mark.parametrize("seed", range(2))
def test_interrupted_runs_go_on_and_end_in_the_same_bytes(
    tmp_path: Path, model: Model, raster: Path, kind: Any, seed: int
) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    tiling = Tiling(96)
    tiles = predict_large(model, raster, undisturbed, format=kind, tiling=tiling).tiles
    rng = np.random.default_rng(seed)
    finished = 0
    for stop in sorted(rng.choice(np.arange(1, tiles), 3, replace=False)):

        def interrupt(now: Progress, stop: int = int(stop)) -> None:
            if now.stage == "tiles" and now.done >= stop:
                raise StopError

        with pytest.raises(StopError):
            predict_large(model, raster, out, format=kind, tiling=tiling, progress=interrupt)
        assert not out.exists()
        told: list[Progress] = []

        def look(now: Progress) -> None:
            told.append(now)  # noqa: B023
            raise StopError

        with pytest.raises(StopError):
            predict_large(model, raster, out, format=kind, tiling=tiling, progress=look)
        assert finished < told[0].done <= stop + 2
        finished = told[0].done
    result = predict_large(model, raster, out, format=kind, tiling=tiling)
    assert result.taken_up == finished
    assert out.read_bytes() == undisturbed.read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_an_interruption_while_the_file_is_written_loses_no_tile(
    tmp_path: Path, model: Model, raster: Path
) -> None:
    def interrupt(now: Progress) -> None:
        if now.stage == "file":
            raise StopError

    out = tmp_path / "out.tif"
    with pytest.raises(StopError):
        predict_large(model, raster, out, tiling=Tiling(64), progress=interrupt)
    assert not out.exists()
    result = predict_large(model, raster, out, tiling=Tiling(64))
    assert result.taken_up == result.tiles


_RUN = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from perpixel.inference.large.prediction import predict_large
from perpixel.inference.predictor import load
from perpixel.inference.tiles.tile_size import Tiling
model, image, out = sys.argv[1:]
def told(now):
    sys.stdout.write(f"{now.stage} {now.done}\\n")
    sys.stdout.flush()
predict_large(load(model, "cpu"), image, Path(out), tiling=Tiling(64), progress=told)
"""


def test_a_killed_process_leaves_what_the_next_one_needs(
    tmp_path: Path, model_file: Path, raster: Path
) -> None:
    arguments = [sys.executable, "-c", _RUN, str(model_file), str(raster)]
    undisturbed, out = tmp_path / "undisturbed.tif", tmp_path / "out.tif"
    subprocess.run([*arguments, str(undisturbed)], check=True, capture_output=True)
    rng = np.random.default_rng(int(time.time()))
    begun = []
    for _ in range(3):
        with subprocess.Popen([*arguments, str(out)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            begun.append(int(process.stdout.readline().split()[1]))
            # At a random moment, at the latest while the file is written.
            for _ in range(int(rng.integers(1, 12))):
                line = process.stdout.readline()
                if line.startswith("file"):
                    break
            time.sleep(float(rng.random()) * 0.01)
            os.kill(process.pid, signal.SIGKILL)
    subprocess.run([*arguments, str(out)], check=True, capture_output=True)
    assert begun == sorted(begun)
    assert begun[2] > 0
    assert out.read_bytes() == undisturbed.read_bytes()
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["out.tif", "scene.tif", "undisturbed.tif"]


@pytest.mark.parametrize("change", ["image", "model", "confidence", "tile"])
def test_nothing_is_taken_up_that_is_of_another_mask(
    tmp_path: Path, model: Model, raster: Path, pixels: np.ndarray, change: str
) -> None:
    out = tmp_path / "out.tif"

    def interrupt(now: Progress) -> None:
        if now.done == 5:
            raise StopError

    with pytest.raises(StopError):
        predict_large(model, raster, out, tiling=Tiling(64), progress=interrupt)
    other, tile, confidence = model, 64, 0.0
    match change:
        case "image":
            write_raster(raster, pixels[:, ::-1], **UTM)
        case "model":
            other = Model(
                build(network_config(dict(CONFIG))).eval(),
                LABELS,
                Preprocessing(),
                torch.device("cpu"),
            )
        case "confidence":
            confidence = 0.5
        case "tile":
            tile = 96
    result = predict_large(other, raster, out, tiling=Tiling(tile), min_confidence=confidence)
    assert result.taken_up == 0


def test_auto_takes_up_the_tiles_that_were_begun_though_it_would_now_take_others(
    tmp_path: Path, model: Model, raster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.tif"

    def interrupt(now: Progress) -> None:
        if now.done == 5:
            raise StopError

    chosen = [(96, 96), (128, 96)]

    def choose(tiler: Tiler, source: Source, *_: object) -> tuple[TilePlan, int]:
        return tiler.plan(source.size, chosen[0]), 1

    monkeypatch.setattr(large_image, "choose", choose)
    with pytest.raises(StopError):
        predict_large(model, raster, out, progress=interrupt)
    del chosen[0]
    result = predict_large(model, raster, out)
    assert (result.tile, result.taken_up > 0) == ((96, 96), True)


def test_a_full_disk_is_said_and_costs_no_finished_tile(
    tmp_path: Path, model: Model, raster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    pwrite = os.pwrite

    def full(file: int, content: bytes, at: int) -> int:
        written.append(at)
        if len(written) > 300:
            raise OSError(28, "No space left on device")
        return pwrite(file, content, at)

    monkeypatch.setattr(os, "pwrite", full)
    out = tmp_path / "mask.tif"
    with pytest.raises(OutputError, match="No space left"):
        predict_large(model, raster, out, tiling=Tiling(64))
    monkeypatch.undo()
    assert predict_large(model, raster, out, tiling=Tiling(64)).taken_up > 0
