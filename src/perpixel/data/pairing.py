"""Which mask belongs to which image: files of the same stem in two folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perpixel.data.dataset import Pair, listed
from perpixel.data.header import SUFFIXES
from perpixel.errors import DataError

# What tools append to an image's name for its mask.
_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_seg", "_segmentation", "_gt", "_L")


def is_picture(path: Path) -> bool:
    """Whether a path looks like a picture that is not hidden; no file is opened."""
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES


def has_pictures(folder: Path) -> bool:
    """Whether a folder is there and a picture lies in it."""
    return folder.is_dir() and any(is_picture(path) for path in folder.iterdir())


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their stems, in the order of these.

    Raises:
        DataError: two of them have the same stem.
    """
    files, doubled = _by_stem(folder)
    if doubled:
        raise doubled[0]
    return files


def pair_folders(images_at: Path, masks_at: Path) -> tuple[Pair, ...]:
    """The images of one folder with their masks in another, in the order of their stems.

    A mask may have an ending such as `_mask`. Without a folder of masks the images are unlabelled.

    Raises:
        DataError: an image has no mask or several, a mask no image, or two files share a stem.
    """
    pairs, faults = match_folders(images_at, masks_at)
    if faults:
        raise faults[0]
    return pairs


def match_folders(
    images_at: Path, masks_at: Path
) -> tuple[tuple[Pair, ...], tuple[DataError, ...]]:
    """`pair_folders`, but with every fault beside those pairs that are whole."""
    images, faults = _by_stem(images_at)
    if not masks_at.is_dir():
        return tuple(Pair(image) for image in images.values()), tuple(faults)
    of_masks, doubled = _by_stem(masks_at)
    faults += doubled
    owned: dict[str, list[Path]] = {}
    for stem, path in of_masks.items():
        owned.setdefault(_owner(stem, images), []).append(path)
    several = {stem: paths for stem, paths in owned.items() if len(paths) > 1}
    masks = {stem: paths[0] for stem, paths in owned.items()}
    cased = _same_but_for_case(images, masks)
    if cased:
        names = [f"{images[stem].name} and {masks[other].name}" for stem, other in cased.items()]
        faults.append(
            DataError(
                images_at.parent,
                found=f"names that differ in upper and lower case alone: {listed(names)}",
                expected="the same stem for an image and its mask",
                mend="Rename one of the two",
            )
        )
    for kind, other, here, there in (
        ("images without a mask", masks_at, images, masks),
        ("masks without an image", images_at, masks, images),
    ):
        apart = {*cased, *cased.values()}
        missing = [stem for stem in here if stem not in there and stem not in apart]
        if missing:
            faults.append(
                DataError(
                    images_at.parent,
                    found=f"{len(missing)} {kind}: {listed([here[s].name for s in missing])}",
                    expected=f"a file of the same stem in {other}",
                    mend="Add the missing files, or move these elsewhere",
                )
            )
    if several:
        names = [
            f"{' and '.join(path.name for path in paths)} for {images[stem].name}"
            for stem, paths in several.items()
        ]
        faults.append(
            DataError(
                masks_at,
                found=f"several masks for one image: {listed(names)}",
                expected="one mask for each image",
                mend="Remove those that are not meant, or move them elsewhere",
            )
        )
    pairs = tuple(
        Pair(image, masks[stem])
        for stem, image in images.items()
        if stem in masks and stem not in several
    )
    return pairs, tuple(faults)


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[DataError]]:
    files: dict[str, Path] = {}
    doubled = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.name)):
        if not is_picture(path):
            continue
        if path.stem in files:
            doubled.append(
                DataError(
                    folder,
                    found=f"two files of the same stem: {files[path.stem].name}, {path.name}",
                    expected="one file for each stem, since pairs are matched by it",
                    mend="Rename or remove one of them",
                )
            )
        else:
            files[path.stem] = path
    return files, doubled


def _same_but_for_case(images: Mapping[str, Path], masks: Mapping[str, Path]) -> dict[str, str]:
    """For images without a mask: the mask without an image whose stem differs in case alone."""
    folded = {stem.casefold(): stem for stem in masks if stem not in images}
    return {
        stem: folded[stem.casefold()]
        for stem in images
        if stem not in masks and stem.casefold() in folded
    }


def require(root: Path, files: Mapping[str, Path]) -> None:
    """Check that files which a list speaks of are there.

    Args:
        root: the list, to name it in errors.
        files: by what they are called in it.

    Raises:
        DataError: some are missing; names up to ten of them.
    """
    missing = [name for name, path in files.items() if not path.is_file()]
    if missing:
        mend = "Add the missing files, or take them out of the list"
        raise DataError(root, found=f"files that do not exist: {listed(missing)}", mend=mend)


def _owner(stem: str, images: Mapping[str, Path]) -> str:
    if stem in images:
        return stem
    bare = (stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending))
    return next((name for name in bare if name in images), stem)
