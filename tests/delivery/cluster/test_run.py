"""Runs on a real Ray cluster of two workers on this machine, one of which is killed."""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli.conftest import call

from delivery.cluster.conftest import photograph
from perpixel.delivery.cluster import packages, run
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.job import RECORD, Job, ModelFiles
from perpixel.delivery.cluster.manifest import MANIFEST
from perpixel.delivery.cluster.run import ClusterSummary, Workers, predict_on_cluster
from perpixel.delivery.cluster.store import Store
from perpixel.errors import ConfigError, ModelError, OutputError
from perpixel.inference.folder import predict_folder
from perpixel.inference.predictor import Model

for name in ("ray", "pyarrow", "fsspec"):
    pytest.importorskip(name, reason=f"{name} is not installed")
# Ray warns of settings of its own, and leaves sockets to be closed when Python ends.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PHOTOGRAPHS = 40
TWO = Workers(2, 2)


@dataclass(frozen=True)
class Finished:
    """A run that came to its end though one of its workers was killed.

    Args:
        images, out: the folders.
        summary: of the run.
        killed: the process.
        seen: what `progress` was called with.
    """

    images: Path
    out: Path
    summary: ClusterSummary
    killed: int
    seen: list[tuple[int, int]]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of this process's own, for all tests."""
    with connected("local", cpus=2) as connection:
        yield connection


@pytest.fixture(scope="module")
def finished(ray: Any, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    images, out = folder / "images", folder / "out"
    for seed in range(PHOTOGRAPHS - 1):
        photograph(images / ("sub" if seed % 3 else "") / f"{seed}.png", seed, (41 + seed, 57))
    (images / "cut.png").write_bytes((images / "0.png").read_bytes()[:300])
    killed: list[int] = []
    seen: list[tuple[int, int]] = []

    def kill(done: int, total: int) -> None:
        seen.append((done, total))
        if not killed:
            victim = workers()[0]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    summary = predict_on_cluster(model_file, [str(images)], str(out), workers=TWO, progress=kill)
    return Finished(images, out, summary, killed[0], seen)


def masks_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def rows_of(folder: Path) -> list[dict[str, Any]]:
    content = io.BytesIO((folder / MANIFEST).read_bytes())
    return list(packages.parquet().read_table(content).to_pylist())


def times_of(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


def workers() -> list[psutil.Process]:
    """The processes that hold the model, of this process's cluster."""
    mine = psutil.Process().children(recursive=True)
    return [one for one in mine if "MapWorker(MapBatches(Worker))" in " ".join(one.cmdline())]


def test_with_a_worker_killed_each_image_has_one_whole_mask_and_one_row(
    finished: Finished, model: Model, tmp_path: Path
) -> None:
    expected = predict_folder(model, [finished.images], tmp_path / "one")
    assert not psutil.pid_exists(finished.killed)
    assert finished.seen[-1] == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert len(masks_of(finished.out)) == PHOTOGRAPHS - 1
    assert masks_of(finished.out) == masks_of(tmp_path / "one")
    rows = rows_of(finished.out)
    assert len({row["image"] for row in rows}) == len(rows) == PHOTOGRAPHS
    assert sorted(row["mask"] for row in rows if row["mask"]) == sorted(masks_of(finished.out))
    summary = finished.summary
    assert summary.failed == tuple(reason for _, reason in expected.failed)
    assert (summary.images, summary.kept, summary.rebuilt) == (PHOTOGRAPHS, 0, 0)
    left = sorted(path.name for path in (finished.out / ".perpixel").rglob("*"))
    assert left == ["run.json", "unfinished"]


def test_a_second_run_does_nothing(
    finished: Finished, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = times_of(finished.out)
    monkeypatch.setattr(run, "connected", None)
    again = predict_on_cluster(model_file, [str(finished.images)], str(finished.out), workers=TWO)
    assert again == replace(finished.summary, kept=PHOTOGRAPHS)
    assert times_of(finished.out) == before
    line = ("predict", "--ray", model_file, finished.images, "--out", finished.out)
    shown = call(*line)
    assert shown.exit_code == 1, shown.output
    assert "computed by torch fp32" in shown.stdout
    assert f"39 of 40 masks and manifest.parquet are in {finished.out}" in shown.stdout
    assert "40 images were done before" in shown.stdout
    assert f"{finished.images}/cut.png: a truncated image" in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert times_of(finished.out) == before


def test_what_was_lost_is_made_again_and_nothing_else(
    finished: Finished, model_file: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished.out, tmp_path / "out"))
    whole, rows = masks_of(out), rows_of(out)
    (out / "3.png").unlink()
    (out / "6.png").write_bytes(whole["6.png"][:-20])
    before = times_of(out)
    line = ("predict", model_file, finished.images, "--out", out, "--workers", 2, "--ray", "local")
    shown = call(*line)
    assert "38 images were done before" in shown.stdout, shown.output
    assert masks_of(out) == whole
    after = times_of(out)
    touched = {name for name in after if after[name] != before.get(name)}
    assert touched == {"3.png", "6.png", MANIFEST}
    assert rows_of(out) == rows
    (out / MANIFEST).unlink()
    (out / "6.png").write_bytes(whole["6.png"][:-20])
    before = times_of(out)
    summary = predict_on_cluster(model_file, [str(finished.images)], str(out), workers=TWO)
    assert (summary.kept, summary.rebuilt) == (0, len(whole))
    after = times_of(out)
    touched = {name for name in after if after[name] != before.get(name)}
    assert touched == {"6.png", MANIFEST}
    assert masks_of(out) == whole
    assert rows_of(out) == rows


def test_masks_of_another_run_are_neither_taken_nor_overwritten(
    model_file: Path, images: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "out"))
    job = Job(ModelFiles.read(model_file).checksum, (str(images),), "torch", "fp32")
    job.record(store)
    store.write("0.jpg.png", b"somebody's")
    with pytest.raises(OutputError, match=r"another run wrote \(other --flip\)"):
        predict_on_cluster(model_file, [str(images)], store.address, job=Job(flip=True))
    store.remove([RECORD])
    with pytest.raises(OutputError, match="no record says which run wrote it"):
        predict_on_cluster(model_file, [str(images)], store.address)
    assert store.read("0.jpg.png") == b"somebody's"


def test_what_is_wrong_in_a_worker_is_said_as_if_it_were_here(
    ray: Any, model_file: Path, images: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(model_file.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        predict_on_cluster(damaged, [str(images)], str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="int8"):
        predict_on_cluster(
            model_file, [str(images)], str(tmp_path / "out"), job=Job(precision="int8")
        )
    assert not (tmp_path / "out").exists()
