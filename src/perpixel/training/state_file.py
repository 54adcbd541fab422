"""The state that a run goes on from: one file with a checksum, of which the last two are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from perpixel.checkpoint import intact, metadata_of, signed
from perpixel.errors import ConfigError, OutputError
from perpixel.whole_file import flush_folder, write_whole

# From the newest to the oldest. A state is written whole as the first, and then moved down.
NEXT = "state.next.safetensors"
STATE = "state.safetensors"
PREVIOUS = "state.previous.safetensors"
NEWEST_FIRST = (NEXT, STATE, PREVIOUS)
FORMAT = "perpixel state"
# Raised where a run would go on otherwise than it began. 3: weights of classes no longer change how
# readily a class is called, and the labelled pixels that they follow from are kept.
VERSION = 3


@dataclass(frozen=True)
class State:
    """A state that was read.

    Args:
        tensors: weights, averaged weights and moments, as `state.pack` names them.
        facts: everything else, as JSON values.
        notes: what was wrong with newer states than this one, each a sentence.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


class _OtherFormatError(ValueError):
    """A whole state of another format than this version's: that format's number."""


def state_bytes(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> bytes:
    """The content of a state's file."""
    whole = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "checksum": "0" * 64,
        "facts": json.dumps(facts),
    }
    return signed(whole, metadata)


def write_state(folder: Path, content: bytes) -> None:
    """Write a state; the one before stays as the previous one.

    Killed at any moment, it leaves the new state or the one before, whole, under one of the names.

    Raises:
        OutputError: it cannot be written; the states before stay.
    """
    write_whole(folder / NEXT, content)
    try:
        if (folder / STATE).exists():
            (folder / STATE).replace(folder / PREVIOUS)
        (folder / NEXT).replace(folder / STATE)
        flush_folder(folder)
    except OSError as error:
        raise OutputError(
            folder / STATE,
            found=f"cannot be written ({error.strerror or error})",
            mend="Give a place in a folder that may be written to",
        ) from None


def has_state(folder: Path) -> bool:
    """Whether there is a state in the folder, whole or not."""
    return any((folder / name).is_file() for name in NEWEST_FIRST)


def read_state(folder: Path) -> State:
    """The newest state in the folder that is whole.

    Raises:
        ConfigError: there is none, none is whole, or the newest whole one has another format.
    """
    mend = "Give the folder of a run that `perpixel train` began, or start a new run"
    if not has_state(folder):
        found = "no such folder" if not folder.is_dir() else f"no {STATE} in this folder"
        raise ConfigError(folder, found=found, expected="a run to resume", mend=mend)
    notes: list[str] = []
    for name in NEWEST_FIRST:
        path = folder / name
        if not path.is_file():
            continue
        try:
            tensors, facts = opened(path.read_bytes())
        except _OtherFormatError as error:
            # The state before is no way out: with it the run would go on otherwise than it began.
            raise ConfigError(
                path,
                found=f"a state of format {error}",
                expected=f"format {VERSION}, which this version of perpixel goes on from",
                mend="Finish the run with the version that began it, or begin a new one with "
                "--init-from its model",
            ) from None
        except (OSError, ValueError) as error:
            notes.append(f"{path} is damaged ({' '.join(str(error).split())}), so it is not used")
            continue
        return State(tensors, facts, tuple(notes))
    raise ConfigError(folder, found=f"no whole state: {'; '.join(notes)}", mend=mend)


def forget_damaged(folder: Path) -> None:
    """Make the newest whole state the current one, so that the next write keeps it as previous.

    What lies in the way is damaged, or older. Does nothing where the folder cannot be written.
    """
    for name in NEWEST_FIRST:
        path = folder / name
        try:
            opened(path.read_bytes())
        except (OSError, ValueError):
            continue
        try:
            if name == NEXT and (folder / STATE).exists():
                (folder / STATE).replace(folder / PREVIOUS)
            path.replace(folder / STATE)
        except OSError:
            # A folder that cannot be written now is warned of when the next state is.
            return
        return


def opened(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and facts in a state's content.

    Raises:
        ValueError: it is no state of this version, or not as it was written.
    """
    metadata = metadata_of(content)
    if metadata is None or metadata.get("format") != FORMAT:
        raise ValueError("its header is none of a state")
    if not intact(content, metadata.get("checksum", "")):
        raise ValueError("its content does not match its checksum")
    if metadata.get("format_version") != str(VERSION):
        raise _OtherFormatError(metadata.get("format_version"))
    try:
        return safetensors.torch.load(content), json.loads(metadata["facts"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from None


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The facts of the newest readable state, from its header alone and unchecked; None: no state.

    For a quick look at many runs; `read_state` is for going on with one.
    """
    for name in NEWEST_FIRST:
        try:
            with safe_open(folder / name, framework="pt") as file:
                facts = json.loads((file.metadata() or {})["facts"])
        except (OSError, SafetensorError, KeyError, ValueError):
            continue
        return facts if isinstance(facts, dict) else None
    return None
