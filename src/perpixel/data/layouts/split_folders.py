"""Layout: `train/images` and `train/masks`, or `images/train` and `masks/train`, and likewise val
and test, paired by stem."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.dataset import SPLITS
from perpixel.data.found import Found
from perpixel.data.pairing import pair_folders

NAME = "folders"
LOOKS_FOR = (
    "train/images and train/masks, or images/train and masks/train (likewise val, test), with "
    "files of the same stem"
)
MASKS = ("masks", "labels", "annotations")


def recognises(root: Path) -> bool:
    """Whether at least one split has a folder of images."""
    return bool(folders_of(root))


def read(root: Path) -> Found:
    """The pairs of each split that has images, in the order of their stems.

    A split without a folder `masks` holds unlabelled images.

    Raises:
        DataError: an image has no mask, a mask no image, or two files share a stem.
    """
    folders = folders_of(root)
    return Found({name: pair_folders(images, masks) for name, (images, masks) in folders.items()})


def folders_of(root: Path) -> dict[str, tuple[Path, Path]]:
    """For each split that has images: where they are, and where their masks would be."""
    folders = {}
    for split in SPLITS:
        if (root / split / "images").is_dir():
            images, beside = root / split / "images", [root / split / name for name in MASKS]
        elif (root / "images" / split).is_dir():
            images, beside = root / "images" / split, [root / name / split for name in MASKS]
        else:
            continue
        folders[split] = images, next((path for path in beside if path.is_dir()), beside[0])
    return folders
