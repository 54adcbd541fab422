"""Layout: images, and one mask file for each class: `masks/CLASS/STEM.png`, `masks/STEM/CLASS.png`
or `masks/STEM_CLASS.png`, in the folder itself or in train, val (or valid) and test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perpixel.data.class_files import UNCOVERED, ClassFiles
from perpixel.data.dataset import Pair, listed
from perpixel.data.found import UNSPLIT, Found, KnownClasses, splits_there
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import by_stem, has_pictures, is_picture
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

NAME = "class-masks"
LOOKS_FOR = (
    "images and masks/CLASS/STEM.png, masks/STEM/CLASS.png or masks/STEM_CLASS.png, one file for "
    "each class (also in train, val or valid, test)"
)
BACKGROUND = "background"

# Of each image, by its stem: the files of its classes.
_Files = dict[str, dict[str, Path]]


def recognises(root: Path) -> bool:
    """Whether the images of at least one split have one mask file for each class."""
    return any(_class_files(folder) is not None for folder in _folders(root).values())


def read(root: Path) -> Found:
    """The images, and their masks to be put together. A pixel that no file claims is background.

    Raises:
        DataError: an image has no mask file, a mask file no image, or a split goes by two names.
    """
    found = {split: _class_files(folder) or {} for split, folder in _folders(root).items()}
    names = sorted({name for files in found.values() for of in files.values() for name in of})
    has_background = BACKGROUND in names
    labels = LabelSpace.of(names if has_background else [BACKGROUND, *names])
    values = {name: 1 + place for place, name in enumerate(names)}
    numbers = [(value, labels.names.index(name)) for name, value in values.items()]
    known = KnownClasses(
        labels,
        ((UNCOVERED, IGNORED if has_background else 0), *numbers),
        certainty="collected",
        numbers_are_ours=True,
    )
    splits = {
        split: _pairs(folder, found[split], values) for split, folder in _folders(root).items()
    }
    note = f"one mask file for each class: {listed(names)}; where they overlap, the last counts"
    return Found(splits, known, (note,))


def _folders(root: Path) -> dict[str, Path]:
    names = splits_there(root, lambda name: (root / name / "images").is_dir())
    splits = {split: root / name for split, name in names.items()}
    return splits or ({UNSPLIT: root} if (root / "images").is_dir() else {})


def _pairs(folder: Path, files: _Files, values: Mapping[str, int]) -> tuple[Pair, ...]:
    images = by_stem(folder / "images")
    bare = [path.name for stem, path in images.items() if stem not in files]
    if bare:
        found = f"{len(bare)} images without a mask: {listed(bare)}"
        mend = "Add a mask file of at least one class, or move them elsewhere"
        raise DataError(folder, found=found, expected=LOOKS_FOR, mend=mend)
    return tuple(
        Pair(
            image,
            ClassFiles(tuple((path, values[name]) for name, path in sorted(files[stem].items()))),
        )
        for stem, image in images.items()
    )


def _class_files(folder: Path) -> _Files | None:
    """The class files of each image; None where the folder is not of this kind."""
    masks = folder / "masks"
    if not masks.is_dir() or not has_pictures(folder / "images"):
        return None
    stems = list(by_stem(folder / "images"))
    subfolders = sorted(path for path in masks.iterdir() if path.is_dir())
    files: _Files = {}
    if subfolders:
        if has_pictures(masks) or not all(map(has_pictures, subfolders)):
            return None
        for subfolder in subfolders:
            for stem, path in by_stem(subfolder).items():
                image, name = (
                    (subfolder.name, stem) if subfolder.name in stems else (stem, subfolder.name)
                )
                files.setdefault(image, {})[name] = path
    else:
        longest_first = sorted(stems, key=len, reverse=True)
        for path in sorted(filter(is_picture, masks.iterdir())):
            owner = next((one for one in longest_first if path.stem.startswith(f"{one}_")), None)
            if owner is None:
                return None
            files.setdefault(owner, {})[path.stem.removeprefix(f"{owner}_")] = path
        if max((len(of) for of in files.values()), default=0) < 2:
            return None
    lost = [image for image in files if image not in stems]
    if lost and len(lost) < len(files):
        found = f"{len(lost)} masks without an image: {listed(lost)}"
        mend = "Add the missing images, or move the masks elsewhere"
        raise DataError(folder, found=found, expected=LOOKS_FOR, mend=mend)
    return None if lost else files
