"""A small dataset without a fault."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 36, 52
NAMES = {"train": ("a", "b", "c", "d"), "val": ("e", "f")}
CLASSES = "classes: [sky, road, tree]\nignore_index: 255\n"


def picture(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A smooth photograph of nothing, (H, W, 3) uint8; another seed is no near copy."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def drawn(seed: int) -> np.ndarray:
    """A mask of blocks of 4 × 4 pixels of three classes, with a corner that has no label."""
    rng = np.random.default_rng(100 + seed)
    mask = rng.integers(0, 3, (HEIGHT // 4, WIDTH // 4), np.uint8).repeat(4, 0).repeat(4, 1)
    mask[:4, :4] = 255
    return mask


def write_right(root: Path) -> Path:
    """Write a dataset without a fault."""
    for split, stems in NAMES.items():
        (root / split / "images").mkdir(parents=True)
        (root / split / "masks").mkdir()
        for stem in stems:
            Image.fromarray(picture(ord(stem))).save(root / split / "images" / f"{stem}.png")
            Image.fromarray(drawn(ord(stem))).save(root / split / "masks" / f"{stem}.png")
    (root / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    return root


def masks(root: Path) -> list[Path]:
    return sorted(root.glob("*/masks/*.png"))


def write(path: Path, pixels: np.ndarray, **options: object) -> None:
    Image.fromarray(pixels).save(path, **options)
