"""What a worker writes and says of each image. No Ray: it is called as Ray would call it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from delivery.cluster.calling import JOB, Make, called, files_of, tasks_of
from perpixel.data.decode import read_mask
from perpixel.delivery.cluster import worker as module
from perpixel.delivery.cluster.job import Job, ModelFiles
from perpixel.delivery.cluster.place import Place, settle
from perpixel.errors import ModelError
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import Model
from perpixel.inference.results import Results
from perpixel.inference.tiles.tile_size import Tiling

for name in ("pyarrow", "fsspec"):
    pytest.importorskip(name, reason=f"{name} is not installed")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_confidence": 0.5},
        {"scales": (0.5, 1.0), "flip": True},
        {"tile": 32},
        {"tile": 32, "halo": 4, "min_confidence": 0.4},
    ],
    ids=str,
)
def test_masks_are_those_of_predict_byte_for_byte(
    make: Make, model: Model, images: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    job = replace(JOB, **settings)
    rows = called(make(str(tmp_path / "ray"), job), tasks_of(str(images), str(tmp_path / "ray")))
    summary = predict_folder(
        model,
        [images],
        tmp_path / "one",
        results=Results(min_confidence=job.min_confidence),
        scales=job.scales,
        flip=job.flip,
        tiling=Tiling(job.tile, None, job.halo),
    )
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")
    assert len(files_of(tmp_path / "one")) == 7
    assert {row["image"] for row in rows if row["mask"]} == {str(path) for path in summary.done}
    failed = [(Path(row["image"]), row["error"]) for row in rows if row["error"]]
    assert failed == list(summary.failed)
    assert [row["try_again"] for row in rows] == [False] * 8


def test_a_row_says_what_the_mask_is(
    make: Make, model: Model, images: Path, tmp_path: Path
) -> None:
    rows = called(make(str(tmp_path / "out")), tasks_of(str(images), str(tmp_path / "out")))
    for row in rows:
        if row["mask"] is not None:
            mask = (tmp_path / "out" / row["mask"]).read_bytes()
            assert (row["mask_size"], row["sha256"]) == (
                *(len(mask),),
                hashlib.sha256(mask).hexdigest(),
            )
            predicted = model.predict(row["image"])
            assert (row["height"], row["width"]) == predicted.mask.shape
            assert row["areas"] == predicted.areas()
            assert row["size"] == Path(row["image"]).stat().st_size


def test_images_and_masks_may_be_in_stores(
    make: Make, model: Model, images: Path, tmp_path: Path, memory: Any
) -> None:
    memory.put(str(images), "/bucket/images", recursive=True)
    out = "memory://bucket/masks"
    rows = called(make(out), tasks_of("memory://bucket/images", out))
    predict_folder(model, [images], tmp_path / "one")
    written = {path[14:]: memory.cat_file(path) for path in memory.find("/bucket/masks")}
    assert written == files_of(tmp_path / "one")
    (bad,) = [row["error"] for row in rows if row["error"]]
    assert bad.startswith("memory:///bucket/images/cut.jpg: a truncated image")


def test_a_mask_that_is_there_and_whole_is_only_looked_at(
    make: Make, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    worker, tasks = make(out), tasks_of(str(images), out)
    before = called(worker, tasks)
    whole = [replace(task, is_there=True) for task in tasks if "cut" not in task.image]
    monkeypatch.setattr(module, "masked", None)
    after = called(make(out), whole)
    assert after == [row for row in before if row["mask"]]


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "no picture"])
def test_a_mask_that_is_there_and_damaged_is_made_anew(
    make: Make, images: Path, tmp_path: Path, damage: str
) -> None:
    out = str(tmp_path / "out")
    worker, tasks = make(out), tasks_of(str(images), out)
    before = called(worker, tasks)
    path = tmp_path / "out" / tasks[0].mask
    whole = path.read_bytes()
    middle = len(whole) - 30
    spoilt = {
        "cut": whole[:-5],
        "a bit": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
        "empty": b"",
        "no picture": b"<html>",
    }
    path.write_bytes(spoilt[damage])
    after = called(make(out), [replace(task, is_there=True) for task in tasks[:1]])
    assert path.read_bytes() == whole
    assert after == before[:1]


def test_a_group_that_is_begun_again_keeps_what_it_has_written(
    make: Make, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    worker, tasks = make(out), [one for one in tasks_of(str(images), out) if "cut" not in one.image]
    before = called(worker, tasks)
    stale = tmp_path / "out" / tasks[1].mask
    stale.write_bytes((tmp_path / "out" / tasks[0].mask).read_bytes())
    predicted: list[str] = []

    def watched(model: Model, image: Any, name: str, *rest: Any) -> Any:
        predicted.append(name)
        return actual(model, image, name, *rest)

    actual = module.masked
    monkeypatch.setattr(module, "masked", watched)
    tasks[1] = replace(tasks[1], is_stale=True)
    assert called(worker, tasks) == before
    assert predicted == [tasks[1].image]


def test_one_worker_settles_what_all_compute_by(model_file: Path) -> None:
    files = ModelFiles.read(model_file)
    runtime, precision, classes = settle(Job(), Place(), files)
    assert (runtime, precision) == ("torch", "fp32")
    assert classes[3] == "a boat, small"


def test_a_model_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing such")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        settle(Job(), Place(), ModelFiles.read(tmp_path / "model.safetensors"))


def test_workers_share_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "perpixel.delivery.cluster.place."
    monkeypatch.setattr(f"{place}available_memory", lambda: 1000 << 20)
    monkeypatch.setattr(f"{place}own_memory", lambda: 100 << 20)
    monkeypatch.setattr(f"{place}os.cpu_count", lambda: 8)
    assert Place(2).tiling(JOB).memory == str((100 + 200) << 20)
    assert Place(2, memory="3G").tiling(replace(JOB, tile=64, halo=2)) == Tiling(64, "3G", 2)


def test_masks_have_the_values_that_readers_expect(
    make: Make, images: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    rows = called(make(out), tasks_of(str(images), out))
    name = next(row["mask"] for row in rows if row["mask"])
    with Picture.open(tmp_path / "out" / name) as mask:
        assert mask.mode == "P"
        assert np.array_equal(mask, read_mask(tmp_path / "out" / name))
