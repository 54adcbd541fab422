"""Compiled kernels on disk: none is used after a change of what it was compiled from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numba
import pytest
from numba.core.caching import CacheImpl

from perpixel.kernels import cpu_compiled, cpu_confusion

PART = "from perpixel.kernels.cpu_compiled import part\n@part\ndef number(): return {}\n"
KERNEL = """
from cpu_part import number
from perpixel.kernels.cpu_compiled import kernel
@kernel
def twice(): return 2 * number()
"""


def called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """What the kernel in the folder says, imported anew."""
    monkeypatch.setattr(cpu_compiled, "SOURCES", cpu_compiled.sources_digest(folder))
    for name in ("cpu_part", "cpu_kernel"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return int(module.twice())


def test_a_kernel_is_compiled_anew_where_a_part_of_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cpu_kernel.py").write_text(KERNEL)
    for value in (3, 12345):
        (tmp_path / "cpu_part.py").write_text(PART.format(value))
        assert called(tmp_path, monkeypatch) == 2 * value
    assert len(list((tmp_path / "cache").rglob("*.nbi"))) == 2


def test_the_package_s_kernels_are_kept_under_what_they_were_compiled_from() -> None:
    assert cpu_compiled.SOURCES in cpu_confusion.count_bytes.py_func.__qualname__


def test_without_a_folder_for_the_cache_kernels_work_and_the_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def three() -> int:
        return 3

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        compiled = cpu_compiled.kernel(three)
    assert compiled() == 3
