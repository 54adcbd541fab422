"""Layout: `images` and `masks`, paired by stem; we divide them into training and validation."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.found import UNSPLIT, Found
from perpixel.data.layouts.split_folders import MASKS
from perpixel.data.pairing import has_pictures, pair_folders

NAME = "flat"
LOOKS_FOR = "images and masks, with files of the same stem"


def recognises(root: Path) -> bool:
    """Whether there is a folder of pictures and one of masks."""
    return has_pictures(root / "images") and any(has_pictures(root / name) for name in MASKS)


def read(root: Path) -> Found:
    """All pairs, in the order of their stems.

    Raises:
        DataError: an image has no mask or several, a mask no image, or two files share a stem.
    """
    masks = next((root / name for name in MASKS if has_pictures(root / name)), root / MASKS[0])
    images = root / "images"
    return Found({UNSPLIT: pair_folders(images, masks)} if images.is_dir() else {})
