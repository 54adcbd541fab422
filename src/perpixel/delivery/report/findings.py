"""Findings: everything that is found out about a run before a page is written of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perpixel.data.scan import Scan, scan
from perpixel.delivery.report.facts import ModelFacts, model_facts
from perpixel.delivery.report.run_folder import OpenRun
from perpixel.inference.examination import Examination, examine

# Told what is being done, how much of it is done, and how much there is.
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of a run.

    Args:
        run: the run and its data.
        name: what tables and plots call it.
        trained_on: what the training split holds; None where the data has none.
        examination: the model's work on the split.
        facts: its size and speed.
    """

    run: OpenRun
    name: str
    trained_on: Scan | None
    examination: Examination
    facts: ModelFacts


def look_at(run: OpenRun, name: str | None = None, watch: Watch | None = None) -> Findings:
    """Read the training masks, predict every image of the split, and count.

    Args:
        run: an open run.
        name: what the run is called; None: as its folder.
        watch: told how far it is.

    Raises:
        DataError, ModelError: an image or mask cannot be used.
    """

    def progress(what: str) -> Callable[[int, int], None] | None:
        if watch is None:
            return None
        return lambda done, total: watch(what, done, total)

    called = name or run.folder.resolve().name
    pairs = run.dataset.splits.get("train")
    trained_on = (
        scan(pairs, run.model.labels, progress("reading the training masks")) if pairs else None
    )
    examination = examine(run.model, run.pairs, progress=progress(f"predicting with {called}"))
    return Findings(run, called, trained_on, examination, model_facts(run, examination.images))
