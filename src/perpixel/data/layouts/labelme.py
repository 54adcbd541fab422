"""Layout: images and the polygons that were drawn on them with labelme, one JSON file each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from perpixel.data.dataset import Pair
from perpixel.data.found import UNSPLIT, Found, KnownClasses, splits_there
from perpixel.data.inside import LABELME_IMAGE
from perpixel.data.labelme_shapes import (
    AREAS,
    BACKGROUND,
    IGNORE,
    IGNORE_VALUE,
    UNCOVERED,
    LabelmeMask,
    read_labelme,
)
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import require
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

NAME = "labelme"
LOOKS_FOR = (
    "labelme's JSON files with the images that they name (also in train, val or valid, test)"
)


def recognises(root: Path) -> bool:
    """Whether the first JSON file of a split, or of the folder, is labelme's."""
    files = next(iter(_files(root).values()), [])
    try:
        return bool(files) and isinstance(read_labelme(files[0])["shapes"], list)
    except DataError:
        return False


def read(root: Path) -> Found:
    """The images that the files name, and masks painted from the shapes. What no shape covers is
    background; the label `__ignore__` marks pixels without a label.

    Raises:
        DataError: a file is none of labelme's, an image is missing, or a split goes by two names.
    """
    found = {
        split: [(path, read_labelme(path)) for path in paths]
        for split, paths in _files(root).items()
    }
    shapes = [shape for of in found.values() for _, content in of for shape in content["shapes"]]
    names = sorted({str(shape["label"]) for shape in shapes} - {IGNORE, BACKGROUND})
    # A drawn background and an uncovered one are the same class.
    classes = ["background", *(name for name in names if name != "background")]
    values = [(name, UNCOVERED + place) for place, name in enumerate(classes)]
    table = (*values, (BACKGROUND, UNCOVERED), (IGNORE, IGNORE_VALUE))
    splits: dict[str, tuple[Pair, ...]] = {}
    for split, contents in found.items():
        images = {path: _image(path, content) for path, content in contents}
        require(root, {str(at): at for at in images.values() if at.name != LABELME_IMAGE})
        splits[split] = tuple(Pair(at, LabelmeMask(path, table)) for path, at in images.items())
    known = KnownClasses(
        LabelSpace.of(classes),
        (*((value, value) for _, value in values), (IGNORE_VALUE, IGNORED)),
        certainty="collected",
        numbers_are_ours=True,
    )
    lines = Counter(str(shape.get("shape_type")) for shape in shapes)
    without = {kind: count for kind, count in lines.items() if kind not in (*AREAS, "None")}
    notes = [f"{count} shapes are of the type {kind}: left out" for kind, count in without.items()]
    return Found(splits, known, ("what no shape covers is background", *notes))


def _files(root: Path) -> dict[str, list[Path]]:
    """For each split its JSON files; UNSPLIT where they all lie together."""
    names = splits_there(root, lambda name: bool(_json(root / name)))
    there = {split: _json(root / name) for split, name in names.items()}
    together = _json(root)
    return there or ({UNSPLIT: together} if together else {})


def _json(folder: Path) -> list[Path]:
    """Those in subfolders too, as `predict` writes them for images in subfolders."""
    return sorted(folder.rglob("[!.]*.json"))


def _image(path: Path, content: dict[str, Any]) -> Path:
    """The image that a labelme file names, or the copy within the file."""
    # labelme on Windows writes backslashes.
    named = path.parent / str(content["imagePath"]).replace("\\", "/")
    inside = not named.is_file() and content.get(LABELME_IMAGE)
    return path / LABELME_IMAGE if inside else named
