"""Many images at once: results in order, few in memory, and no thread left behind."""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.decode import read_image, read_mask
from perpixel.errors import OutputError
from perpixel.inference.folder import predict_folder
from perpixel.inference.regions import regions
from perpixel.inference.results import Results
from perpixel.whole_file import write_whole


def own_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("perpixel-decode", "perpixel-finish"))]


def test_no_thread_is_left_after_an_error(model, many, tmp_path):
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(OutputError):
        predict_folder(model, [many], tmp_path / "out")
    assert own_threads() == []


@pytest.fixture
def many(tmp_path, picture) -> Path:
    """Twelve images, some larger than others."""
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        part = picture[: 20 + 9 * (index % 3)]
        Image.fromarray(np.roll(part, index, axis=1)).save(folder / f"{index:02}.png")
    return folder


def test_results_are_in_the_images_order_though_files_are_written_in_any(
    model, many, tmp_path, monkeypatch
):
    def slow_at_times(path: Path, content: bytes) -> None:
        time.sleep(0.02 if int(path.stem) % 2 else 0)
        write_whole(path, content)

    monkeypatch.setattr("perpixel.inference.segmentation.write_whole", slow_at_times)
    (many / "05.png").write_bytes(b"no image")
    shown, told, areas = [], [], tmp_path / "areas.csv"
    summary = predict_folder(
        model,
        [many],
        tmp_path / "out",
        results=Results(areas=areas),
        progress=lambda done, total: told.append(done),
        show=lambda path, mask: shown.append((path.name, mask.mask.shape[0])),
    )
    good = [index for index in range(12) if index != 5]
    assert [path.name for path in summary.done] == [f"{index:02}.png" for index in good]
    assert [path.name for path, _ in summary.failed] == ["05.png"]
    assert shown == [(f"{index:02}.png", 20 + 9 * (index % 3)) for index in good]
    assert told == list(range(1, 13))
    rows = areas.read_text().splitlines()[1:]
    assert [Path(row.split(",")[0]).name for row in rows] == [path.name for path in summary.done]


def test_coco_annotations_are_in_the_images_order(model, many, tmp_path, monkeypatch):
    def slow_at_times(mask: np.ndarray):
        time.sleep(0.02 if mask.shape[0] == 20 else 0)
        return regions(mask)

    monkeypatch.setattr("perpixel.inference.export.regions", slow_at_times)
    predict_folder(model, [many], tmp_path / "out", results=Results(format="coco"))
    written = json.loads((tmp_path / "out/annotations/instances_default.json").read_text())
    assert [one["id"] for one in written["images"]] == list(range(1, 13))
    assert [one["file_name"] for one in written["images"]] == [f"{n:02}.png" for n in range(12)]
    assert [one["id"] for one in written["annotations"]] == [
        number for number, _ in enumerate(written["annotations"], 1)
    ]
    of_images = [one["image_id"] for one in written["annotations"]]
    assert of_images == sorted(of_images)
    assert set(of_images) == set(range(1, 13))


@pytest.mark.parametrize("slow", ["the network", "the disk"])
def test_few_images_are_in_memory_at_a_time(model, many, tmp_path, monkeypatch, slow):
    alive: weakref.WeakSet[Decoded] = weakref.WeakSet()
    most = 0

    def counted(path: Path) -> np.ndarray:
        nonlocal most
        image = read_image(path).view(Decoded)
        alive.add(image)
        most = max(most, len(alive))
        return image

    def write_slowly(path: Path, content: bytes) -> None:
        time.sleep(0.01)
        write_whole(path, content)

    def views_slowly(*args: object, **options: object) -> object:
        time.sleep(0.01)
        return type(model).views(model, *args, **options)

    monkeypatch.setattr("perpixel.data.sample.read_image", counted)
    if slow == "the disk":
        monkeypatch.setattr("perpixel.inference.segmentation.write_whole", write_slowly)
    else:
        monkeypatch.setattr(model, "views", views_slowly)
    assert len(predict_folder(model, [many], tmp_path / "out").done) == 12
    # Two decoded ones, one in the network, two to be written.
    assert 1 < most <= 5


class Decoded(np.ndarray):
    """An array that can be counted: it is hashed by its identity."""

    __hash__ = object.__hash__


def test_masks_are_found_without_confidence_where_nothing_asks_for_it(
    model, many, tmp_path, monkeypatch
):
    def refused(score_map: object) -> None:
        raise AssertionError("the confidence was computed")

    monkeypatch.setattr("perpixel.kernels.winner", refused)
    assert len(predict_folder(model, [many], tmp_path / "out").done) == 12
    with pytest.raises(AssertionError, match="confidence was computed"):
        predict_folder(model, [many], tmp_path / "b", results=Results(min_confidence=0.5))


@pytest.mark.parametrize("where", ["the network", "a writer", "show"])
def test_ctrl_c_leaves_whole_files_alone_and_no_thread(model, many, tmp_path, monkeypatch, where):
    count = 0

    def third(*args: object, **options: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt

    def fsync(descriptor: int) -> None:
        third()

    if where == "the network":
        model.network.register_forward_pre_hook(third)
    elif where == "a writer":
        monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(KeyboardInterrupt):
        predict_folder(model, [many], tmp_path / "out", show=third if where == "show" else None)
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(name.endswith(".png") and not name.startswith(".") for name in left)
    assert len(left) < 12
    for name in left:
        expected = model.predict(many / name).mask
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / name), expected)
    assert own_threads() == []
