"""Only the same run goes on among masks that are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perpixel.delivery.cluster.job import RECORD, Job, ModelFiles, check_result_kinds
from perpixel.delivery.cluster.store import Store
from perpixel.errors import ConfigError, ModelError, OutputError

pytest.importorskip("fsspec", reason="fsspec is not installed")
SETTLED = Job("abc", ("/images",), "openvino", "bf16", ("sky", "sea"), (0.5, 1.0), True, 0.25)
ASKED = replace(SETTLED, runtime="auto", precision="auto", classes=())


def test_what_a_worker_had_chosen_is_taken_again(memory: Any) -> None:
    store = Store("memory://out")
    assert ASKED.recorded(store) is None
    SETTLED.record(store)
    assert ASKED.recorded(store) == SETTLED
    assert SETTLED.recorded(store) == SETTLED


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "abd"}, "model file"),
        ({"inputs": ("/others",)}, "images"),
        ({"runtime": "torch"}, "--runtime"),
        ({"precision": "fp32"}, "--precision"),
        ({"scales": (1.0,)}, "--scales"),
        ({"flip": False}, "--flip"),
        ({"min_confidence": 0.5}, "--min-confidence"),
        ({"tile": 64}, "--tile"),
        ({"halo": 3}, "--halo"),
    ],
)
def test_another_run_is_refused_and_what_differs_is_named(
    memory: Any, change: dict[str, Any], told: str
) -> None:
    store = Store("memory://out")
    SETTLED.record(store)
    with pytest.raises(OutputError, match=rf"\(other {told}\)"):
        replace(ASKED, **change).recorded(store)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "abc", "strange": 1}'])
def test_a_damaged_record_is_said(memory: Any, content: bytes) -> None:
    store = Store("memory://out")
    store.write(RECORD, content)
    with pytest.raises(OutputError, match="damaged record"):
        ASKED.recorded(store)


def test_model_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"graph")
    (tmp_path / "a.bin").write_bytes(b"weights")
    files = ModelFiles.read(tmp_path / "a.xml")
    (tmp_path / "other").mkdir()
    assert files.write(tmp_path / "other") == tmp_path / "other" / "a.xml"
    assert ModelFiles.read(tmp_path / "other" / "a.xml") == files
    (tmp_path / "a.bin").write_bytes(b"weighty")
    assert ModelFiles.read(tmp_path / "a.xml").checksum != files.checksum
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ModelError, match=r"a\.xml: cannot be read"):
        ModelFiles.read(tmp_path / "a.xml")


def test_what_workers_do_not_write_is_refused() -> None:
    check_result_kinds([])
    with pytest.raises(ConfigError, match="--overlay and --show: given together with --ray"):
        check_result_kinds(["--overlay", "--show"])
