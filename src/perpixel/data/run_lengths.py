"""COCO's run-length codes: lengths of runs of 0 and 1 in turn, column after column, and the text
that stands for them. pycocotools knows them too, but warns with NumPy 2 at every decoded one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer

_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, 48


def decode_runs(counts: list[int] | str | bytes, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The pixels of a code.

    Args:
        counts: the lengths, or COCO's text for them.
        size: height and width.

    Raises:
        ValueError: the runs do not fill the mask.
    """
    runs = _from_text(counts) if isinstance(counts, str | bytes) else np.asarray(counts, np.int64)
    if runs.size == 0 or runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError(f"runs of {int(runs.sum())} pixels for {size[1]}×{size[0]}")
    values = np.arange(runs.size) % 2 == 1
    return np.repeat(values, runs).reshape(size[::-1]).T


def encode_runs(pixels: Bool[np.ndarray, "h w"], top: int, left: int, size: tuple[int, int]) -> str:
    """COCO's text for a region, of which only its box is given.

    Args:
        pixels: the region within its box.
        top, left: where the box lies in the mask.
        size: height and width of the mask.
    """
    columns, rows = np.nonzero(pixels.T)
    places = (columns + left) * size[0] + rows + top
    # Where a run of 1 begins, and one past where it ends.
    breaks = np.flatnonzero(np.diff(places) != 1)
    begins = places[np.r_[0, breaks + 1]] if places.size else places
    ends = places[np.r_[breaks, places.size - 1]] + 1 if places.size else places
    edges = np.stack([begins, ends], axis=1).reshape(-1)
    runs = np.diff(np.r_[0, edges, size[0] * size[1]])
    if places.size and ends[-1] == size[0] * size[1]:
        runs = runs[:-1]
    return _to_text(runs)


def _from_text(text: str | bytes) -> Integer[np.ndarray, "runs"]:
    """The lengths in the text: five bits a letter, lowest first; from the fourth run on, the
    difference to the run before the last."""
    letters = text.encode() if isinstance(text, str) else text
    runs: list[int] = []
    value, shift = 0, 0
    for letter in letters:
        bits = letter - _FIRST
        value |= (bits & (_MORE - 1)) << shift
        shift += _BITS
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    return np.array(runs, np.int64)


def _to_text(runs: Integer[np.ndarray, "runs"]) -> str:
    values = runs.astype(np.int64)
    values[3:] -= runs[1:-2]
    letters: list[np.ndarray] = []
    unfinished: list[np.ndarray] = []
    more = np.ones(values.shape, bool)
    while more.any():
        bits = values & (_MORE - 1)
        values >>= _BITS
        unfinished.append(more)
        # The last letter's sign bit says the sign of the whole.
        more = more & (values != np.where(bits & _SIGN, -1, 0))
        letters.append(_FIRST + (bits | np.where(more, _MORE, 0)))
    if not letters:
        return ""
    there = np.stack(unfinished, axis=1)
    return bytes(np.stack(letters, axis=1)[there].astype(np.uint8)).decode("ascii")
