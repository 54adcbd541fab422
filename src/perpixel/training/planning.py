"""A plan for a dataset before any training: the choices that `train` would make, as a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from perpixel.data.layouts import open_dataset
from perpixel.data.scan import scan
from perpixel.errors import ConfigError
from perpixel.training.choices import Choice, decide, facts_of
from perpixel.training.config import TrainConfig
from perpixel.whole_file import write_whole

# A plan is for any run folder.
_NOWHERE = Path("RUN")


@dataclass(frozen=True)
class Planned:
    """What `train` would do with a dataset.

    Args:
        layout: what the dataset was recognised as.
        choices: the settings that were open, and why they are what they are.
        largest: (H, W) of the largest training image: each is evaluated whole, at its own size.
    """

    layout: str
    choices: tuple[Choice, ...]
    largest: tuple[int, int]


def plan(
    data: Path,
    *,
    layout: str | None = None,
    minutes: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Planned:
    """What `train` would choose for the dataset on this machine, and why.

    Args:
        data: the dataset folder.
        layout: the name of its layout; None: it is recognised.
        minutes: a wall-clock budget; None: a number of epochs is chosen.
        progress: told (done, total) while the training masks are read.

    Raises:
        DataError: the dataset cannot be used.
    """
    dataset = open_dataset(data, layout)
    seen = scan(dataset.split("train"), dataset.labels, progress)
    config = TrainConfig.of(data=data, out=_NOWHERE, **_given(layout, minutes))
    choices = decide(config, facts_of(dataset, seen))[1]
    largest = max(seen.sizes, key=lambda size: size[0] * size[1])
    return Planned(dataset.layout, choices, largest)


def write_recipe(
    path: Path,
    choices: Sequence[Choice],
    *,
    layout: str | None = None,
    minutes: float | None = None,
) -> None:
    """Write choices as settings for `perpixel train --config`, each with its reason above it.

    Raises:
        ConfigError: the file is there already; it may have been edited.
        OutputError: it cannot be written.
    """
    if path.exists():
        raise ConfigError(path, found="is there already", mend="Name another file, or remove it")
    lines: list[str] = []
    for name, value in _given(layout, minutes).items():
        lines += ["# as asked", _line(name, value)]
    for choice in choices:
        value = list(choice.value) if isinstance(choice.value, tuple) else choice.value
        name = choice.setting
        lines.append(f"# {choice.why}")
        lines.append(
            _line(*(("augmentation", {"crop": value}) if name == "crop" else (name, value)))
        )
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _given(layout: str | None, minutes: float | None) -> dict[str, Any]:
    settings = {"layout": layout, "minutes": minutes}
    return {name: value for name, value in settings.items() if value is not None}


def _line(name: str, value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    # A lone value is followed by the document's end.
    return f"{name}: {text.removesuffix('...' + chr(10)).strip()}"
