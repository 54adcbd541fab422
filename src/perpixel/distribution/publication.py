"""A model as it is given to others: with its licence, and without the paths of who made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PureWindowsPath
from typing import Any

from perpixel.checkpoint import Checkpoint
from perpixel.rounding import Stored

LICENCE = "licence"
# Settings of a run that are files and folders of the machine that it ran on.
PATHS = ("data", "out", "init_from", "weights")


def published(
    checkpoint: Checkpoint, *, licence: str | None = None, stored: Stored | None = None
) -> Checkpoint:
    """The same model for others: of each path in its settings only the last part is kept.

    Args:
        checkpoint: the model.
        licence: of the weights; None: what the model says already.
        stored: how its file holds weights; None: as it is.
    """
    provenance = dict(checkpoint.provenance)
    if isinstance(provenance.get("config"), dict):
        provenance["config"] = {
            name: _last_part(value) if name in PATHS else value
            for name, value in provenance["config"].items()
            if name != "out"
        }
    if isinstance(provenance.get("imported"), str):
        provenance["imported"] = _last_part(provenance["imported"])
    if licence:
        provenance[LICENCE] = licence
    return replace(checkpoint, provenance=provenance, stored=stored or checkpoint.stored)


def licence_of(checkpoint: Checkpoint) -> str | None:
    """The licence of the weights, where the model says one."""
    stated = checkpoint.provenance.get(LICENCE)
    return str(stated) if stated else None


def _last_part(value: Any) -> Any:
    """Of a path as any system writes it; an address of the hub is no path."""
    if not isinstance(value, str) or value.startswith("hf://"):
        return value
    return PureWindowsPath(value).name
