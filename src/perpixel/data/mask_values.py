"""A look at a dataset's masks before their meaning is known: numbers or colours, and which."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from perpixel.data.dataset import Pair
from perpixel.data.decode import holds_colours
from perpixel.data.mask_encoding import Kind, MaskEncoding
from perpixel.data.masks import read_stored
from perpixel.errors import DataError

_COLOURS = MaskEncoding("colours", ())
_THREADS = 2


@dataclass(frozen=True)
class MaskValues:
    """What some of a dataset's masks hold.

    Args:
        kind: numbers or packed colours.
        values: each that occurs, sorted.
        masks: how many were looked at; unreadable ones are left to whoever reads them all.
    """

    kind: Kind
    values: tuple[int, ...]
    masks: int


def kind_of_masks(pairs: Sequence[Pair]) -> Kind:
    """Whether the first mask that can be read holds numbers or colours."""
    for pair in pairs:
        if not isinstance(pair.mask, Path):
            return "numbers"
        try:
            return "colours" if holds_colours(pair.mask) else "numbers"
        except DataError:
            continue
    return "numbers"


def look_at_masks(pairs: Sequence[Pair], most: int, *, past_empty: bool = False) -> MaskValues:
    """The values in up to `most` of the masks, evenly spaced over the pairs.

    Args:
        pairs: with the masks.
        most: how many are looked at.
        past_empty: whether as many more are looked at, and again, for as long as none holds
            anything but 0: where classes are rare, the first may all be empty.
    """
    kind = kind_of_masks(pairs)
    step = max(1, -(-len(pairs) // most))
    found: list[Integer[np.ndarray, "values"]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(step if past_empty else 1):
            chosen = [replace(pair, encoding=_encoding(kind)) for pair in pairs[start::step]]
            more = [values for values in pool.map(_values, chosen) if values is not None]
            found += more
            if any(values.any() for values in more):
                break
    every = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return MaskValues(kind, tuple(int(value) for value in every), len(found))


def distinct(stored: Integer[np.ndarray, "*shape"]) -> Integer[np.ndarray, "values"]:
    """The values that occur in a mask, sorted."""
    if stored.dtype in (np.uint8, np.uint16):
        return np.flatnonzero(np.bincount(stored.reshape(-1)))
    # Neighbours are mostly alike: what a sort sees is where a row changes.
    flat = stored.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.unique(np.append(flat[changes], flat[:1])).astype(np.int64)


def _encoding(kind: Kind) -> MaskEncoding | None:
    return _COLOURS if kind == "colours" else None


def _values(pair: Pair) -> Integer[np.ndarray, "values"] | None:
    try:
        return distinct(read_stored(pair))
    except DataError:
        return None
