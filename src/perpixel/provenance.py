"""Where a model came from, as its file says: read from strangers' files as well."""

from __future__ import annotations

import json
from typing import Any


def read_provenance(text: str) -> dict[str, Any]:
    """Where a model came from: all that is read of it later has the form that is written.

    Raises:
        ValueError: it has not.
    """
    found = json.loads(text, parse_constant=_no_number)
    if isinstance(found, dict):
        scores = found.get("validation") or {}
        classes = scores.get("classes", {}) if isinstance(scores, dict) else None
        if isinstance(classes, dict):
            means = {name: mean for name, mean in scores.items() if name != "classes"}
            if all(map(_are_numbers, (means, *classes.values()))):
                return found
    raise ValueError("a provenance of another form")


def _are_numbers(scores: Any) -> bool:
    """Whether each score is a number or None, which stands for none."""
    return isinstance(scores, dict) and all(
        value is None or isinstance(value, int | float) for value in scores.values()
    )


def _no_number(text: str) -> None:
    raise ValueError(f"{text} in its provenance")
