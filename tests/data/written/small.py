"""What the small datasets are made of: photographs of nothing, drawn masks, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 36, 52
TRAIN, VAL = ("a", "b", "c"), ("d", "e")
# In expected masks: a pixel without a label.
VOID = -1


@dataclass(frozen=True)
class Written:
    """What a small dataset is.

    Args:
        layout: the name of the layout.
        names: of the classes, in the order of their indices.
        masks: class indices, or VOID, of each image by its stem.
        splits: how many images each has.
        noted: words that its notes hold.
    """

    layout: str
    names: tuple[str, ...]
    masks: Mapping[str, np.ndarray]
    splits: Mapping[str, int]
    noted: str = ""


def picture(seed: int) -> Image.Image:
    """A small photograph of nothing."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def drawn(seed: int, values: Sequence[int]) -> np.ndarray:
    """Blocks of 4 × 4 pixels, each of one of the values; every value occurs."""
    rng = np.random.default_rng(1000 + seed)
    blocks = rng.choice(np.asarray(values), (HEIGHT // 4, WIDTH // 4))
    blocks.flat[: len(values)] = values
    return blocks.repeat(4, 0).repeat(4, 1)


def save(content: Image.Image | np.ndarray, path: Path, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(content) if isinstance(content, np.ndarray) else content
    picture.save(path, **more)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def masks_of(values: Sequence[int], stems: Sequence[str] = (*TRAIN, *VAL)) -> dict[str, np.ndarray]:
    return {stem: drawn(seed, values) for seed, stem in enumerate(stems)}


def coded(mask: np.ndarray, codes: Mapping[int, object], dtype: type = np.uint8) -> np.ndarray:
    """The mask with each class (and VOID) as its code: a number or a colour."""
    first = np.asarray(next(iter(codes.values())))
    out = np.zeros((*mask.shape, *first.shape), dtype)
    for index, code in codes.items():
        out[mask == index] = code
    return out


def by_split() -> list[tuple[str, str]]:
    return [("train", stem) for stem in TRAIN] + [("val", stem) for stem in VAL]


HALVES = {"train": len(TRAIN), "val": len(VAL)}
DIVIDED = {"train": 4, "val": 1}


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
