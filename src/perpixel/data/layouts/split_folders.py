"""Layout: `train/images` and `train/masks`, or `images/train` and `masks/train`, and likewise val
(or valid, validation) and test, paired by stem."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.found import Found, splits_there
from perpixel.data.pairing import pair_folders

NAME = "folders"
LOOKS_FOR = (
    "train/images and train/masks, or images/train and masks/train (likewise val or valid, test), "
    "with files of the same stem"
)
MASKS = ("masks", "labels", "annotations")


def recognises(root: Path) -> bool:
    """Whether at least one split has a folder of images."""
    return bool(folders_of(root))


def read(root: Path) -> Found:
    """The pairs of each split that has images, in the order of their stems.

    A split without a folder `masks` holds unlabelled images.

    Raises:
        DataError: an image has no mask or several, a mask no image, two files share a stem, or a
            split goes by two names.
    """
    folders = folders_of(root)
    return Found({name: pair_folders(images, masks) for name, (images, masks) in folders.items()})


def folders_of(root: Path) -> dict[str, tuple[Path, Path]]:
    """For each split that has images: where they are, and where their masks would be.

    Raises:
        DataError: a split goes by two names.
    """

    def has_images(name: str) -> bool:
        return (root / name / "images").is_dir() or (root / "images" / name).is_dir()

    folders = {}
    for split, name in splits_there(root, has_images).items():
        if (root / name / "images").is_dir():
            images, beside = root / name / "images", [root / name / masks for masks in MASKS]
        else:
            images, beside = root / "images" / name, [root / masks / name for masks in MASKS]
        folders[split] = images, next((path for path in beside if path.is_dir()), beside[0])
    return folders
