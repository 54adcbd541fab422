"""Which images a prediction is asked for, and what the results of each are called."""

from __future__ import annotations

import glob
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

from perpixel.data.header import SUFFIXES
from perpixel.data.source import outline
from perpixel.errors import DataError, OutputError

AnyPath = TypeVar("AnyPath", bound=PurePath)
# The level of the longest stem that an image's results can have.
LONGEST = 3


@dataclass(frozen=True)
class Input:
    """An image file, and its path below the folder (or the pattern's folder) it was found in."""

    path: Path
    relative: Path

    @property
    def place(self) -> Path:
        """Where it is, from the root of all: the same, however the folder was written.
        Links below that folder are not followed: of several that lead to one file, as tools for
        versions of data make them, each is an image of its own.
        """
        return self.path.parents[len(self.relative.parts) - 1].resolve() / self.relative


def expand(inputs: Sequence[str | Path], out: Path | None) -> list[Input]:
    """The images that files, folders and glob patterns stand for, each once, in a fixed order.

    A folder stands for all images in it and in its subfolders, by their suffixes; through links as
    well, and each name counts, though others lead to the same file. Hidden files are left out, and
    the results of an earlier run in `out` where that lies inside of the folder, or inside of the
    folder before the first part of a pattern that can vary (None: they are elsewhere).

    Raises:
        DataError: an input stands for no image, is no pattern, or may not be read.
        OutputError: `out` is one of the input folders, or a pattern's.
    """
    found: dict[Path, Input] = {}
    for one in inputs:
        matches = list(_matches(str(one), out))
        if not matches:
            raise _nothing(one)
        for match in matches:
            found.setdefault(match.place, match)
    if not found:
        raise DataError("inputs", found="no image was named", mend="Name a file or a folder")
    return list(found.values())


def pixels_if_alone(inputs: Sequence[str | Path], out: Path | None) -> int | None:
    """How many pixels the one image has that inputs stand for, by its header; None if they stand
    for several. What is wrong with them is for whoever predicts them to say.
    """
    alone: Input | None = None
    try:
        # Not `expand`: of a large folder two images are enough to know.
        for match in itertools.chain.from_iterable(_matches(str(one), out) for one in inputs):
            alone = alone or match
            if match.place != alone.place:
                return None
        if alone is None:
            return None
        height, width = outline(alone.path).size
    except (DataError, OutputError):
        return None
    return height * width


def stems(images: Sequence[Input], suffixes: Sequence[str]) -> list[Path]:
    """A distinct path for the results of each image, to which the suffixes are appended.

    It is the image's relative path without its suffix. Where two images would share a result,
    the suffix is kept; if that is not enough, the folders that tell them apart are put before it.

    Args:
        images: what results are for.
        suffixes: of each result, such as ".png" and "_overlay.png".

    Raises:
        OutputError: no distinct names were found.
    """
    places = [image.place for image in images]
    try:
        common = Path(os.path.commonpath([place.parent for place in places]))
        below = [place.relative_to(common) for place in places]
    except ValueError:
        # On several drives of Windows: below their letters.
        drives = ["".join(filter(str.isalnum, place.drive)) for place in places]
        below = [Path(drive, *place.parts[1:]) for drive, place in zip(drives, places, strict=True)]

    def stem(index: int, level: int) -> str:
        full = below[index] if level >= 2 else images[index].relative
        return str(bare(full) if level % 2 == 0 else full)

    paths = [str(image.path) for image in images]
    return [Path(one) for one in distinct(paths, stem, suffixes)]


def distinct(
    paths: Sequence[str], stem: Callable[[int, int], str], suffixes: Sequence[str]
) -> list[str]:
    """A distinct stem for the results of each image, as short as can be. Letters' case alone tells
    results apart only where nothing else does: on many disks a.png and A.png are one file.

    Args:
        paths: what errors call each image.
        stem: from an image's number and a level, 0 to 3, to a stem: without and with the image's
            suffix, and then likewise with all folders that tell the images apart.
        suffixes: of each result.

    Raises:
        OutputError: no distinct names were found.
    """
    try:
        return _distinct(paths, stem, suffixes, str.casefold)
    except OutputError:
        return _distinct(paths, stem, suffixes, str)


def _distinct(
    paths: Sequence[str],
    stem: Callable[[int, int], str],
    suffixes: Sequence[str],
    as_seen: Callable[[str], str],
) -> list[str]:
    levels = [0] * len(paths)
    chosen = [stem(index, 0) for index in range(len(paths))]
    while True:
        results = [[as_seen(f"{one}{suffix}") for suffix in suffixes] for one in chosen]
        claims = Counter(itertools.chain.from_iterable(results))
        clashing = [
            index for index, names in enumerate(results) if any(claims[name] > 1 for name in names)
        ]
        if not clashing:
            return chosen
        movable = [index for index in clashing if levels[index] < LONGEST]
        if not movable:
            first, second = (paths[index] for index in clashing[:2])
            mend = "Predict them into different folders"
            raise OutputError(second, found=f"its result has the name of {first}'s", mend=mend)
        for index in movable:
            levels[index] += 1
            chosen[index] = stem(index, levels[index])


def _matches(one: str, out: Path | None) -> Iterator[Input]:
    try:
        yield from _search(one, out)
    except OSError as error:
        # Left out, its images would be missing among the results, and nobody told.
        raise DataError(
            error.filename or one,
            found=f"cannot be looked into ({error.strerror or error})",
            mend="See that you may read it, or name the images in other folders",
        ) from None


def _search(one: str, out: Path | None) -> Iterator[Input]:
    path = Path(one)
    if path.is_dir():
        yield from _images_in(path, path, out)
    elif path.exists():
        yield Input(path, Path(path.name))
    elif glob.has_magic(one):
        fixed = _fixed_part(path)
        _spare(fixed, out)
        for match in _glob(fixed, path):
            relative = match.relative_to(fixed)
            hidden = any(part.startswith(".") for part in relative.parts)
            if hidden or _is_result(match.resolve(), fixed, out):
                continue
            if match.is_dir():
                yield from _images_in(match, fixed, out)
            elif _is_image(match.name):
                yield Input(match, relative)


def _glob(fixed: Path, pattern: Path) -> list[Path]:
    try:
        return sorted(fixed.glob(str(pattern.relative_to(fixed))))
    except ValueError as error:
        mend = "Write ** as a part of its own, as in photos/**/*.jpg"
        raise DataError(pattern, found=f"no pattern ({error})", mend=mend) from None


def _images_in(folder: Path, root: Path, out: Path | None) -> Iterator[Input]:
    _spare(folder, out)
    # Of each folder that is still to be entered: where the way to it leads, all links followed. A
    # link back to a folder on its own way would have no end.
    ways = {folder: frozenset([folder.resolve()])}
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        way, found = ways.pop(Path(parent)), sorted(folders)
        folders.clear()
        for name in found:
            real = Path(parent, name).resolve()
            if not name.startswith(".") and not _is_result(real, folder, out) and real not in way:
                ways[Path(parent, name)] = way | {real}
                folders.append(name)
        for name in sorted(names):
            if _is_image(name) and not name.startswith("."):
                yield Input(Path(parent, name), Path(parent, name).relative_to(root))


def _raise(error: OSError) -> None:
    raise error


def _spare(folder: Path, out: Path | None) -> None:
    if out is not None and is_same_file(folder, out):
        raise OutputError(
            out,
            found="is also a folder that images are read from",
            expected="another folder for the results",
            mend="Give another --out: the next run would take the masks for images",
        )


def is_same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file or folder that is there, whatever their letters' case."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _is_result(real: Path, start: Path, out: Path | None) -> bool:
    """Whether what a search from the folder `start` comes to, all links followed, lies in `out`.

    Where `out` holds the folder itself, as `.` does, what lies in the folder is no result of it;
    but a link may lead back up to all of `out`.
    """
    if out is None:
        return False
    away = out.resolve()
    return real == away or (real.is_relative_to(away) and not start.resolve().is_relative_to(away))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first part that can vary."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def bare(path: AnyPath) -> AnyPath:
    """The path without an image's suffix."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def _nothing(one: str | Path) -> DataError:
    if Path(one).is_dir():
        found = "no image in this folder or its subfolders"
    elif glob.has_magic(str(one)):
        found = "no image matches this pattern"
    else:
        found = "no such file or folder"
    endings = ", ".join(SUFFIXES)
    mend = "Give an image file, a folder or a pattern in quotes"
    return DataError(one, found=found, expected=f"images ({endings})", mend=mend)
