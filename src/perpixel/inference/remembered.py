"""Measurements that are made once: kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from perpixel.errors import OutputError
from perpixel.whole_file import write_whole

# Seconds by what was timed; None for what could not be run.
Seconds = dict[str, float | None]


def cache_folder() -> Path | None:
    """Where perpixel keeps what it can make anew: PERPIXEL_CACHE, or `perpixel` in XDG_CACHE_HOME
    or in the home's `.cache`. None where there is no home. It may be deleted at any time."""
    own, system = os.environ.get("PERPIXEL_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    try:
        return (Path(system) if system else Path.home() / ".cache") / "perpixel"
    except RuntimeError:
        return None


def remembered(about: Mapping[str, str], measure: Callable[[], Seconds]) -> Seconds:
    """What was measured before under the same circumstances, or else is measured now and kept.

    A file that is damaged or speaks of something else is measured anew; a cache that cannot be
    written is no error: it is measured again the next time.

    Args:
        about: what the result depends on: processor, versions, the network …
    """
    known = recalled(about)
    if known is not None:
        return known
    seconds, path = measure(), _place(about)
    if path is None:
        return seconds
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"about": dict(about), "seconds": seconds}
        write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
    except (OSError, OutputError):
        pass
    return seconds


def recalled(about: Mapping[str, str]) -> Seconds | None:
    """What was measured before under the same circumstances; None where nothing was."""
    path = _place(about)
    return None if path is None else _read(path, about)


def _place(about: Mapping[str, str]) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return folder / "measured" / f"{digest[:24]}.json"


def _read(path: Path, about: Mapping[str, str]) -> Seconds | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("about") != dict(about):
        return None
    seconds = content.get("seconds")
    if not isinstance(seconds, dict) or not seconds:
        return None
    for value in seconds.values():
        if value is not None and (not isinstance(value, float) or not 0 < value < float("inf")):
            return None
    return seconds
