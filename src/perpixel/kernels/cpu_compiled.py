"""How kernels are compiled, and where they are kept."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

SETTINGS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def sources_digest(folder: Path) -> str:
    """Of all files that kernels are compiled from, by their content."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("cpu_*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


SOURCES = sources_digest(Path(__file__).parent)


def kernel(function: Callable[..., Any]) -> Any:
    """A function that Python calls: compiled at the first call with its argument types, from then
    on read from Numba's cache on disk.

    It releases the GIL, so that the threads of `cpu_threads` run side by side.

    Numba asks only whether the file with this function has changed, and most arithmetic is in its
    parts, in others. So its name in the cache says what all of them are: after a change, or an
    upgrade, what was compiled before is not found.
    """
    function.__qualname__ = f"{function.__qualname__}.{SOURCES}"
    try:
        return numba.njit(function, cache=True, **SETTINGS)
    except RuntimeError as error:  # there is no folder for a cache
        warnings.warn(
            f"kernels are compiled anew by every process, which takes seconds: {error}. "
            "NUMBA_CACHE_DIR can name a folder that keeps them",
            stacklevel=2,
        )
        return numba.njit(function, **SETTINGS)


# A part of a kernel, compiled into it.
part = numba.njit(forceinline=True, error_model="numpy")
