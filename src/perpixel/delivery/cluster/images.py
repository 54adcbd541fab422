"""The images of local folders and of stores, listed, with the names of their masks."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from perpixel.data.header import SUFFIXES
from perpixel.delivery.cluster.store import Entry, is_address, opened
from perpixel.errors import DataError, OutputError
from perpixel.inference.inputs import bare, distinct, expand


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a store.

    Args:
        address: its local path, or its address.
        path: likewise, without the kind of store.
        relative: below the folder, or the pattern's folder, that it was found in.
        entry: its size and version.
    """

    address: str
    path: str
    relative: str
    entry: Entry


def find_images(inputs: Sequence[str], out: str) -> list[Image]:
    """The images that files, folders and glob patterns stand for, each once, in a fixed order.

    As `inference.inputs.expand` has it, in stores as well: a folder stands for all images below
    it, by their suffixes; hidden files are left out, and what lies in `out` where that lies inside
    of the folder, or of the pattern's.

    Args:
        inputs: local paths and patterns, or addresses such as `s3://bucket/folder`.
        out: where the masks go.

    Raises:
        DataError: an input stands for no image, or its store cannot be listed.
        OutputError: `out` is one of the input folders, or a pattern's.
        ConfigError: there is no such kind of store, or its package is not installed.
    """
    found: dict[str, Image] = {}
    local = [one.removeprefix("file://") for one in inputs if not is_address(one)]
    if local:
        here = None if is_address(out) else Path(out.removeprefix("file://"))
        for one in expand(local, here):
            # A link to nothing is an image as well: the worker says what is wrong with it.
            info = one.path.stat() if one.path.exists() else one.path.lstat()
            entry = Entry(info.st_size, info.st_mtime, str(info.st_mtime_ns))
            path = str(one.path.absolute())
            found[path] = Image(path, str(one.place), one.relative.as_posix(), entry)
    for address in inputs:
        if is_address(address):
            found |= {image.address: image for image in _in_store(address, out)}
    if not found:
        raise DataError("inputs", found="no image was named", mend="Name a folder or an address")
    return list(found.values())


def mask_names(images: Sequence[Image], suffix: str = ".png") -> list[str]:
    """The name of each image's mask in the folder of results: that of `perpixel predict`.

    Raises:
        OutputError: no distinct names were found.
    """
    shared = len(_common([image.path.split("/")[:-1] for image in images]))

    def stem(index: int, level: int) -> str:
        image = images[index]
        full = "/".join(image.path.split("/")[shared:])
        path = PurePosixPath(full if level >= 2 else image.relative)
        return str(bare(path) if level % 2 == 0 else path)

    addresses = [image.address for image in images]
    return [f"{one}{suffix}" for one in distinct(addresses, stem, (suffix,))]


def _common(folders: Sequence[list[str]]) -> list[str]:
    """The parts that all begin with: those that the first and the last in their order share."""
    least, most = min(folders), max(folders)
    length = 0
    while length < min(len(least), len(most)) and least[length] == most[length]:
        length += 1
    return least[:length]


def _in_store(address: str, out: str) -> list[Image]:
    filesystem, path = opened(address)
    try:
        found = list(_matches(filesystem, path))
    except OutputError:
        raise
    except Exception as error:
        # Each kind of store has errors of its own, for what is missing and for what is not allowed.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            address,
            found=f"cannot be listed ({reason})",
            mend="Correct the address, or see that this machine may list it",
        ) from None
    inside, root = _out_in(filesystem, out), _fixed_part(path)
    if inside == root:
        raise OutputError(
            out,
            found="is also a folder that images are read from",
            expected="another folder for the results",
            mend="Give another --out: the next run would take the masks for images",
        )
    # Where the results' folder holds the images' too, as a bucket does, nothing is left out for it.
    apart = inside is None or _is_below(root, inside)
    kept = [one for one in found if apart or not _is_below(one.path, str(inside))]
    if not kept:
        raise DataError(
            address,
            found="no image is there",
            expected=f"images ({', '.join(SUFFIXES)})",
            mend="Give the address of an image, a folder or a pattern in quotes",
        )
    return sorted(kept, key=lambda one: one.path)


def _out_in(filesystem: Any, out: str) -> str | None:
    """Where the results are in this file system; None: they are not."""
    if not is_address(out):
        return None
    other, path = opened(out)
    return path if other == filesystem else None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")


def _fixed_part(path: str) -> str:
    """The path itself, or of a pattern the folder before the first part that can vary."""
    root = PurePosixPath(path)
    while glob.has_magic(str(root)):
        root = root.parent
    return str(root)


def _matches(filesystem: Any, path: str) -> Iterator[Image]:
    if glob.has_magic(path):
        root = _fixed_part(path)
        matches = filesystem.glob(path, detail=True)
        for name, info in matches.items():
            if info["type"] == "directory":
                yield from _below(filesystem, name, root)
            else:
                yield from _image(filesystem, name, info, root)
    elif filesystem.isdir(path):
        yield from _below(filesystem, path, path)
    else:
        info = filesystem.info(path)
        name = PurePosixPath(path).name
        yield Image(filesystem.unstrip_protocol(path), path, name, Entry.of(info))


def _below(filesystem: Any, folder: str, root: str) -> Iterator[Image]:
    for name, info in filesystem.find(folder, detail=True).items():
        yield from _image(filesystem, name, info, root)


def _image(filesystem: Any, path: str, info: dict[str, Any], root: str) -> Iterator[Image]:
    relative = path[len(root.rstrip("/")) + 1 :] if root != "." else path
    hidden = any(part.startswith(".") for part in relative.split("/"))
    if not hidden and path.lower().endswith(SUFFIXES):
        yield Image(filesystem.unstrip_protocol(path), path, relative, Entry.of(info))
