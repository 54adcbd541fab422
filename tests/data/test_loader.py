from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import perpixel
from perpixel.data import loader as loader_module
from perpixel.data.augment import Augmentation
from perpixel.data.dataset import Pair
from perpixel.data.layouts import open_dataset
from perpixel.data.loader import Batch, TrainingLoader, TrainingSamples, training_loader
from perpixel.data.sample import Sample
from perpixel.errors import DataError, ModelError
from perpixel.preprocessing import Preprocessing

CROP = Augmentation(crop=(12, 16))
STILL = Augmentation(
    scale=(1, 1), flip=0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0
)


def loader(
    folder: Path,
    *,
    augmentation: Augmentation = CROP,
    batch_size: int = 2,
    seed: int = 1,
    workers: int = 0,
    preprocessing: Preprocessing | None = None,
) -> TrainingLoader:
    dataset = open_dataset(folder)
    return training_loader(
        dataset.split("train"),
        dataset.labels,
        augmentation,
        preprocessing or Preprocessing(),
        batch_size=batch_size,
        seed=seed,
        workers=workers,
    )


def same(left: Iterable[Batch], right: Iterable[Batch]) -> bool:
    return all(
        a.paths == b.paths and torch.equal(a.images, b.images) and torch.equal(a.masks, b.masks)
        for a, b in zip(left, right, strict=True)
    )


def test_batches_are_bit_identical_for_0_1_and_2_workers(folder: Path) -> None:
    alone = loader(folder)
    expected = [list(alone.epoch(0)), list(alone.epoch(1, 1))]
    for workers in (1, 2):
        several = loader(folder, workers=workers)
        next(several.epoch(0))
        # An epoch left early does not leak into the next.
        assert same(several.epoch(0), expected[0])
        assert same(several.epoch(1, 1), expected[1])


def test_batches_are_the_same_where_processes_can_only_be_spawned(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows, which has no SIGCHLD either.
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    known = SimpleNamespace(signal=signal.signal, SIG_DFL=signal.SIG_DFL)
    monkeypatch.setattr(loader_module, "signal", known)
    several = loader(folder, workers=1)
    assert several._loader.multiprocessing_context.get_start_method() == "spawn"
    assert same(several.epoch(0), loader(folder).epoch(0))


def test_error_in_a_worker_arrives_whole(folder: Path) -> None:
    several = loader(folder, workers=1)
    (folder / "train/images/3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png: no image; expected a JPEG"):
        list(several.epoch(0))


def test_a_lost_worker_is_replaced_and_no_batch_is(folder: Path) -> None:
    expected = list(loader(folder).epoch(0))
    several = loader(folder, workers=1)
    batches = several.epoch(0)
    found = [next(batches)]
    for worker in several._loader._iterator._workers:
        os.kill(worker.pid, signal.SIGKILL)
    assert same([*found, *batches], expected)
    assert same(several.epoch(0), expected)


def test_a_worker_that_is_lost_between_two_epochs_is_replaced(folder: Path) -> None:
    expected = list(loader(folder).epoch(0))
    several = loader(folder, workers=1)
    assert same(several.epoch(0), expected)
    for worker in several._loader._iterator._workers:
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    assert same(several.epoch(0), expected)


class Broken(TrainingSamples):
    """Samples of which none can be made, for a reason that stays."""

    error: type[Exception]

    def __getitem__(self, key: object) -> Sample:
        raise self.error("always")


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_an_error_that_a_worker_raises_is_no_lost_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    several = loader(folder, workers=1)
    several._samples.__class__ = Broken
    several._samples.error = error
    monkeypatch.setattr(several, "_started", lambda: pytest.fail("it was tried again"))
    with pytest.raises(error, match="always"):
        list(several.epoch(0))


LOADING = """
import os, signal, sys
from pathlib import Path
from perpixel.data.augment import Augmentation
from perpixel.data.layouts import open_dataset
from perpixel.data.loader import training_loader
from perpixel.preprocessing import Preprocessing
if __name__ == "__main__":
    dataset = open_dataset(Path(sys.argv[1]))
    loader = training_loader(
        dataset.split("train"), dataset.labels, Augmentation(crop=(12, 16)), Preprocessing(),
        batch_size=2, seed=0, workers=1,
    )
    next(loader.epoch(0))
"""
KILLED = f"""{LOADING}
    print(*[worker.pid for worker in loader._loader._iterator._workers], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
# As older torch ends, which says no farewell to its loading processes then.
ENDS = f"""{LOADING}
    loader._loader._iterator._shutdown = True
"""


def test_loading_processes_end_with_a_training_that_is_killed(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    source = str(Path(perpixel.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"PYTHONPATH": source},
        stdout=subprocess.PIPE,
        # What a killed process leaves its resource tracker to say.
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    (number,) = process.stdout.readline().split()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(number)).wait(60)


def test_loading_processes_end_with_a_loader_that_garbage_collection_finds(folder: Path) -> None:
    several = loader(folder, workers=2)
    next(several.epoch(0))
    processes = [psutil.Process(worker.pid) for worker in several._loader._iterator._workers]
    # As the frames of an exception's traceback do.
    several.__dict__["itself"] = several
    del several
    gc.collect()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.wait(60)


def test_a_process_ends_that_still_has_a_loader(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text(ENDS, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(perpixel.__file__).parents[1])}
    command = [sys.executable, str(script), str(folder)]
    subprocess.run(command, env=environment, check=True, timeout=120)


def test_epochs_differ_and_repeat_exactly(folder: Path) -> None:
    run = loader(folder)
    first, second = list(run.epoch(0)), list(run.epoch(1))
    assert not torch.equal(first[0].images, second[0].images)
    assert [batch.paths for batch in first] != [batch.paths for batch in second]
    assert same(run.epoch(0), first)
    assert same(loader(folder).epoch(1), second)
    other = loader(folder, seed=2)
    assert not torch.equal(next(other.epoch(0)).images, first[0].images)


def test_epoch_resumed_at_a_batch_continues_exactly(folder: Path) -> None:
    run = loader(folder)
    assert same(run.epoch(3, 2), list(run.epoch(3))[2:])
    assert list(run.epoch(3, run.batches)) == []


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 8])
def test_every_batch_is_full_and_every_sample_is_seen(folder: Path, batch_size: int) -> None:
    run = loader(folder, batch_size=batch_size)
    batches = list(run.epoch(0))
    assert len(batches) == run.batches
    assert {len(batch.images) for batch in batches} == {min(batch_size, 5)}
    order = [path for batch in batches for path in batch.paths]
    assert len(set(order[:5])) == 5
    assert order[5:] == order[: len(order) - 5]


def test_batch_keeps_the_images_type_and_says_what_it_holds(folder: Path) -> None:
    batch = next(loader(folder).epoch(0))
    assert batch.images.dtype == batch.masks.dtype == torch.uint8
    assert batch.images.shape == (2, 3, 12, 16)
    assert batch.masks.shape == (2, 12, 16)
    assert batch.images.is_contiguous()


def test_16_bit_and_float_images_keep_their_type(folder: Path, rng: np.random.Generator) -> None:
    for dtype, suffix in ((np.uint16, "png"), (np.float32, "tif")):
        for path in list((folder / "train/images").iterdir()):
            path.unlink()
            pixels = (rng.random((17, 21)) * 60_000).astype(dtype)
            Image.fromarray(pixels).save(path.with_suffix(f".{suffix}"))
        batch = next(loader(folder).epoch(0))
        assert str(batch.images.dtype) == f"torch.{np.dtype(dtype)}"
        assert batch.images.shape == (2, 3, 12, 16)


def test_images_of_several_sizes_are_padded_at_the_bottom_and_right(
    folder: Path, rng: np.random.Generator
) -> None:
    small = rng.integers(0, 256, (9, 25, 3), np.uint8)
    small_mask = rng.integers(0, 3, (9, 25), np.uint8)
    Image.fromarray(small).save(folder / "train/images/2.png")
    Image.fromarray(small_mask).save(folder / "train/masks/2.png")
    batch = next(loader(folder, augmentation=STILL, batch_size=5).epoch(0))
    assert batch.images.shape == (5, 3, 17, 25)
    slot = [path.name for path in batch.paths].index("2.png")
    np.testing.assert_array_equal(batch.images[slot, :, :9], small.transpose(2, 0, 1))
    np.testing.assert_array_equal(batch.masks[slot, :9], small_mask)
    assert (batch.masks[slot, 9:] == 255).all()
    assert (batch.masks[slot - 1, :, 21:] == 255).all()
    # What pads is 0 to the network, to within half a grey level.
    assert Preprocessing()(batch.images)[slot, :, 9:].abs().max() < 0.6 / 255 / 0.224


def test_bands_are_fitted_to_the_network(folder: Path) -> None:
    grey = Preprocessing(bands=1, mean=(0.5,), std=(0.5,))
    assert next(loader(folder, preprocessing=grey).epoch(0)).images.shape[1] == 1
    four = Preprocessing(bands=4, mean=(0.5,) * 4, std=(0.5,) * 4)
    with pytest.raises(ModelError, match=r"\.png: 3 bands"):
        next(loader(folder, preprocessing=four).epoch(0))


def test_images_of_several_types_are_refused(folder: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 65536, (17, 21), np.uint16)).save(folder / "train/images/2.png")
    with pytest.raises(DataError, match="Convert the images to one type"):
        list(loader(folder, batch_size=5).epoch(0))


def test_training_needs_masks(folder: Path) -> None:
    dataset = open_dataset(folder)
    options = {"batch_size": 2, "seed": 0, "workers": 0}
    for pairs, message in (
        ([Pair(folder / "train/images/0.png")], "a training image without a mask"),
        ([], "no images"),
    ):
        with pytest.raises(DataError, match=message):
            training_loader(pairs, dataset.labels, CROP, Preprocessing(), **options)
