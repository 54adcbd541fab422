"""The packages of the `cluster` extra, imported when they are used."""

from __future__ import annotations

import importlib
import os
from typing import Any

from perpixel.errors import ConfigError

INSTALL = "pip install 'perpixel[cluster]'"
# Ray's own words for "no": nothing is counted and sent. A user who has said otherwise is heard.
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_USAGE_DISABLED": "1"}


def ray() -> Any:
    """Ray with its data library, its counters off.

    Raises:
        ConfigError: it is not installed, as for all of these.
    """
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    _imported("ray.data")
    return _imported("ray")


def fsspec() -> Any:
    """What opens stores by their addresses."""
    return _imported("fsspec")


def pyarrow() -> Any:
    """What the manifest's tables are made with."""
    return _imported("pyarrow")


def parquet() -> Any:
    """What writes tables as Parquet files."""
    return _imported("pyarrow.parquet")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name not in (package, name):
            raise
        raise ConfigError(
            package, found="this package is not installed", mend=f"Install it with {INSTALL}"
        ) from None
