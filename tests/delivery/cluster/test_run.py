"""Runs on a real Ray cluster of two workers on this machine, one of which is killed."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli.conftest import call

from delivery.cluster.conftest import photograph
from perpixel.delivery.cluster import packages, run
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.job import RECORD, Job
from perpixel.delivery.cluster.manifest import MANIFEST
from perpixel.delivery.cluster.run import ClusterSummary, Workers, predict_on_cluster
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


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of this process's own, for all tests."""
    with connected("local", cpus=2) as connection:
        yield connection


@pytest.fixture
def many(images: Path) -> Path:
    """The few photographs, and many more."""
    for seed in range(PHOTOGRAPHS - 8):
        photograph(images / "more" / f"{seed}.png", seed + 100)
    return images


def masks_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def rows_of(folder: Path) -> list[dict[str, Any]]:
    content = io.BytesIO((folder / MANIFEST).read_bytes())
    return list(packages.parquet().read_table(content).to_pylist())


def workers() -> list[psutil.Process]:
    """The processes that hold the model, of this process's cluster."""
    mine = psutil.Process().children(recursive=True)
    return [one for one in mine if "MapWorker(MapBatches(Worker))" in " ".join(one.cmdline())]


def test_with_a_worker_killed_each_image_has_one_whole_mask_and_one_row_and_a_second_run_does_none(
    ray: Any,
    model_file: Path,
    model: Model,
    many: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed: list[int] = []
    seen: list[tuple[int, int]] = []

    def kill(done: int, total: int) -> None:
        seen.append((done, total))
        if not killed:
            victim = workers()[0]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    out = tmp_path / "ray"
    summary = predict_on_cluster(model_file, [str(many)], str(out), workers=TWO, progress=kill)
    expected = predict_folder(model, [many], tmp_path / "one")
    assert killed
    assert seen[-1] == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert masks_of(out) == masks_of(tmp_path / "one")
    rows = rows_of(out)
    assert len({row["image"] for row in rows}) == len(rows) == PHOTOGRAPHS
    assert sorted(row["mask"] for row in rows if row["mask"]) == sorted(masks_of(out))
    assert summary.failed == tuple(reason for _, reason in expected.failed)
    assert (summary.images, summary.kept, summary.rebuilt) == (PHOTOGRAPHS, 0, 0)
    assert sorted(path.name for path in (out / ".perpixel").rglob("*")) == [
        "run.json",
        "unfinished",
    ]

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    monkeypatch.setattr(run, "connected", None)
    again = predict_on_cluster(model_file, [str(many)], str(out), workers=TWO)
    assert again == replace(summary, kept=PHOTOGRAPHS)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_what_was_lost_is_made_again_and_nothing_else(
    ray: Any, model_file: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def again() -> ClusterSummary:
        return predict_on_cluster(model_file, [str(images)], str(out), workers=TWO)

    again()
    whole, rows = masks_of(out), rows_of(out)
    time.sleep(0.01)
    (out / "2.png").unlink()
    (out / "4.png").write_bytes(whole["4.png"][:-20])
    times = {name: (out / name).stat().st_mtime_ns for name in whole if (out / name).exists()}
    assert again().kept == len(rows) - 2
    assert masks_of(out) == whole
    changed = [name for name in times if (out / name).stat().st_mtime_ns != times[name]]
    assert changed == ["4.png"]
    (out / MANIFEST).unlink()
    (out / "4.png").write_bytes(whole["4.png"][:-20])
    summary = again()
    assert (summary.kept, summary.rebuilt) == (0, len(whole))
    assert masks_of(out) == whole
    assert rows_of(out) == rows


def test_masks_of_another_run_are_neither_taken_nor_overwritten(
    ray: Any, model_file: Path, images: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    predict_on_cluster(model_file, [str(images)], out, workers=TWO)
    with pytest.raises(OutputError, match=r"another run wrote \(other --flip\)"):
        predict_on_cluster(model_file, [str(images)], out, job=Job(flip=True))
    (tmp_path / "out" / RECORD).unlink()
    with pytest.raises(OutputError, match="no record says which run wrote it"):
        predict_on_cluster(model_file, [str(images)], out)


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


def test_the_command_says_what_became_of_the_images(
    ray: Any, model_file: Path, images: Path, tmp_path: Path
) -> None:
    line = ("predict", "--ray", model_file, images, "--out", tmp_path / "out", "--workers", 2)
    shown = call(*line)
    assert shown.exit_code == 1, shown.output
    assert "computed by torch fp32" in shown.stdout
    assert f"7 of 8 masks and manifest.parquet are in {tmp_path / 'out'}" in shown.stdout
    assert shown.stderr.count("\n") == 1
    assert f"{images}/cut.jpg: a truncated image" in shown.stderr
    (images / "cut.jpg").unlink()
    shown = call(*line)
    assert shown.exit_code == 0, shown.output
    assert "7 of 7 masks" in shown.stdout
    assert "7 images were done before" in shown.stdout
