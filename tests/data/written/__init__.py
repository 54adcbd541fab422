"""Small datasets in the real format of each layout, with the class indices that they mean.

`WRITERS[name](root)` writes one and returns what opening it has to give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data.written import annotated, benchmarks, plain
from data.written.small import Written

WRITERS: dict[str, Callable[[Path], Written]] = {
    name.removeprefix("write_"): written
    for module in (plain, benchmarks, annotated)
    for name, written in vars(module).items()
    if name.startswith("write_")
}
