"""From what a user writes for a MODEL to a file."""

from __future__ import annotations

from pathlib import Path

from perpixel.distribution.included import included
from perpixel.errors import ModelError

HUB = "hf://"


def model_file(model: str | Path) -> Path:
    """The file that a MODEL stands for.

    A text without a folder or a suffix, such as `street`, is the name of a model that comes along;
    one that begins with `hf://` is on the model hub, and fetched; every other is a path, and so is
    every `Path`. A file called `street` in the working directory is `./street`.

    Raises:
        ModelError: no model that comes along has the name, or the hub's cannot be had.
    """
    if isinstance(model, Path):
        return model
    if model.startswith(HUB):
        # Its client takes half a second to import.
        from perpixel.distribution.hub import Address, fetch

        return fetch(Address.of(model))
    if not is_name(model):
        return Path(model)
    known = included()
    if model not in known:
        there = f"; the file is ./{model}" if Path(model).exists() else ""
        raise ModelError(
            model,
            found=f"no model that comes along has this name{there}",
            expected=" or ".join([*known, "the path of a model file", f"{HUB}owner/name"]),
            mend="Give one of these",
        )
    return known[model]


def is_name(model: str) -> bool:
    """Whether a text can be the name of a model that comes along, and so is no path."""
    return model == Path(model).stem
