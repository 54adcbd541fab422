"""Runs at a glance: what each run folder says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from perpixel.errors import ConfigError
from perpixel.training.config import TrainConfig
from perpixel.training.files import CONFIG, read_metrics
from perpixel.training.state_file import read_facts

# A run folder lies in the folder that is looked through, or so many levels below it.
DEPTH = 2


@dataclass(frozen=True)
class RunSummary:
    """A run, as its folder tells.

    Args:
        folder: the run folder.
        data: its dataset.
        network: the architecture, and its backbone if it was named.
        budget: its length, as it was asked for.
        best: the best mean IoU so far; NaN where nothing was scored.
        seconds: that it has run, over all sittings.
        state: how far it is, in words.
        done: whether it has come to its end.
    """

    folder: Path
    data: str
    network: str
    budget: str
    best: float
    seconds: float
    state: str
    done: bool


def runs_in(folder: Path) -> list[RunSummary]:
    """The runs in a folder, by name; the folder may be a run itself.

    Raises:
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(
            folder, found="no such folder", mend="Give a folder that run folders are in"
        )
    levels = ["/".join(["*"] * level + [CONFIG]) for level in range(DEPTH + 1)]
    found = {path.parent for pattern in levels for path in folder.glob(pattern)}
    return [summary for path in sorted(found) if (summary := summary_of(path)) is not None]


def summary_of(folder: Path) -> RunSummary | None:
    """What a run folder says; None where its `config.yaml` is none of a run."""
    try:
        config = TrainConfig.read(folder / CONFIG)
    except ConfigError:
        return None
    facts = read_facts(folder)
    state, done, seconds = "no state yet", False, 0.0
    if facts is not None:
        step, total = facts["step"], facts["plan"]["total"]
        done = total is not None and step >= total
        state = "finished" if done else f"step {step} of {'?' if total is None else total}"
        seconds = facts["seconds"]
        if facts["skipped"]:
            state += f", {facts['skipped']} batches skipped"
    try:
        scores = [entry["validation"]["mean_iou"] for entry in read_metrics(folder)]
    except (ValueError, KeyError, TypeError):
        scores, state = [], f"{state}, metrics damaged"
    on = "" if config.backbone is None else f" on {config.backbone}"
    return RunSummary(
        folder=folder,
        data=str(config.data),
        network=f"{config.network}{on}",
        budget=_budget(config),
        best=max((score for score in scores if score is not None), default=math.nan),
        seconds=seconds,
        state=state,
        done=done,
    )


def _budget(config: TrainConfig) -> str:
    if config.minutes is not None:
        return f"{config.minutes:g} min"
    return f"{config.epochs} epoch{'' if config.epochs == 1 else 's'}"
