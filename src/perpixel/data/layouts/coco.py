"""Layout: COCO (Lin et al., 2014): annotation files of instances or of panoptic segments, as the
dataset itself and many labelling tools have them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perpixel.data.coco_regions import UNCOVERED, CocoMask, PanopticMask, pycocotools_mask
from perpixel.data.dataset import SPLITS, Pair, listed
from perpixel.data.found import SYNONYMS, UNSPLIT, Found, KnownClasses
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import require
from perpixel.data.texts import listed_labels
from perpixel.errors import DataError

NAME = "coco"
LOOKS_FOR = (
    "annotations/instances_*.json or annotations/panoptic_*.json, or _annotations.coco.json beside "
    "the images"
)
BACKGROUND = "background"
_FILES = (
    "annotations/panoptic_*.json",
    "annotations/instances_*.json",
    "panoptic*.json",
    "instances*.json",
    "*/_annotations.coco.json",
    "_annotations.coco.json",
    "annotations/*coco*.json",
    "*coco*.json",
    "result.json",
)

_NUMBERS = {
    "images": ("id", "height", "width"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id",),
}

_Json = dict[str, Any]


def recognises(root: Path) -> bool:
    """Whether there are annotation files with COCO's names."""
    return bool(_annotation_files(root))


def read(root: Path) -> Found:
    """The images of each annotation file. Pixels of no instance are background; those of no
    panoptic segment have no label.

    Raises:
        DataError: an annotation file cannot be read or is incomplete, or an image is missing.
        ConfigError: there are polygons, and pycocotools is not installed.
    """
    contents = {path: _content(path) for path in _annotation_files(root)}
    panoptic = any(
        "segments_info" in one for of in contents.values() for one in of["annotations"][:1]
    )
    categories = _categories(contents)
    ids = sorted(categories)
    names = _distinct([categories[number] for number in ids])
    values = {number: 1 + place for place, number in enumerate(ids)}
    splits: dict[str, tuple[Pair, ...]] = {}
    for path, content in contents.items():
        images = _places(root, path, content["images"])
        masks = _panoptic(path, content, values) if panoptic else _regions(path, content, values)
        pairs = [Pair(images[number], masks.get(number)) for number in images]
        split = _split(root, path)
        splits[split] = (*splits.get(split, ()), *pairs)
    background = not panoptic and BACKGROUND not in names
    labels = listed_labels(
        next(iter(contents), root), [BACKGROUND, *names] if background else names
    )
    numbers = tuple((value, labels.names.index(names[value - 1])) for value in values.values())
    uncovered = (UNCOVERED, 0 if background else IGNORED)
    known = KnownClasses(labels, (uncovered, *numbers), certainty="fixed", numbers_are_ours=True)
    kind = "panoptic segments" if panoptic else "instances, the smaller over the larger"
    files = listed([path.name for path in contents])
    ordered = {name: splits[name] for name in (*SPLITS, UNSPLIT) if name in splits}
    return Found(ordered, known, (f"masks are painted from {files}: {kind}",))


def _categories(contents: Mapping[Path, _Json]) -> dict[int, str]:
    """The name of each category, by its id."""
    categories: dict[int, tuple[str, Path]] = {}
    for path, content in contents.items():
        for one in content["categories"]:
            number, name = int(one["id"]), str(one["name"])
            before, where = categories.setdefault(number, (name, path))
            if before != name:
                raise DataError(
                    path,
                    found=f"a category {number} of the name {name}",
                    expected=f"{before}, as it is called in {where}",
                    mend="Give the files the same categories",
                )
    return {number: name for number, (name, _) in categories.items()}


def _annotation_files(root: Path) -> list[Path]:
    """Those of the first form that is there."""

    def there(form: str) -> list[Path]:
        return sorted(path for path in root.glob(form) if not path.name.startswith("."))

    return next((found for form in _FILES if (found := there(form))), [])


def _content(path: Path) -> _Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = f"cannot be read ({error})"
        raise DataError(path, found=found, mend="Export the annotations again") from None
    keys = ("images", "annotations", "categories")
    missing = [
        key
        for key in keys
        if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if missing:
        found = f"no {', '.join(missing)}"
        mend = "Export the annotations in COCO's form"
        raise DataError(path, found=found, expected="lists of them", mend=mend)
    needed = {
        "images": {"id", "file_name", "height", "width"},
        "annotations": {"image_id"},
        "categories": {"id", "name"},
    }
    incomplete = [
        f"{key}.{place}"
        for key, fields in needed.items()
        for place, one in enumerate(content[key])
        if not isinstance(one, dict) or any(one.get(field) is None for field in fields)
    ]
    if incomplete:
        raise DataError(
            path,
            found=f"incomplete entries: {listed(incomplete)}",
            expected="; ".join(f"{key}: {', '.join(sorted(of))}" for key, of in needed.items()),
            mend="Export the annotations again",
        )
    wrong = [
        f"{key}.{place}.{field}"
        for key, fields in _NUMBERS.items()
        for place, one in enumerate(content[key])
        for field in fields
        if one.get(field) is not None and not _is_whole(one[field])
    ]
    if wrong:
        raise DataError(
            path,
            found=f"no whole numbers: {listed(wrong)}",
            expected="ids and sizes as numbers",
            mend="Export the annotations again",
        )
    return dict(content)


def _is_whole(value: object) -> bool:
    """Whether `int` takes it as it is meant: some tools write numbers as texts."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())


def _distinct(names: list[str]) -> list[str]:
    """Categories of one name get their places."""
    doubled = {name for name in names if names.count(name) > 1}
    return [f"{name} {place}" if name in doubled else name for place, name in enumerate(names)]


def _split(root: Path, path: Path) -> str:
    """By the name of the file, or of the folder that it is in: `instances_train2017.json`."""
    words = re.findall(r"[a-z]+", path.relative_to(root).as_posix().lower())
    names = (SYNONYMS.get(word, word) for word in words)
    return next((name for name in names if name in SPLITS), UNSPLIT)


def _places(root: Path, path: Path, images: Iterable[_Json]) -> dict[int, Path]:
    """The file of each image: in the first of the usual folders that has it."""
    name = path.stem.split("_", 1)[-1]
    split = _split(root, path)
    folders = [root / "images" / name, root / name, root / "images" / split, root / split]
    folders += [root / "images", root, path.parent]
    places: dict[int, Path] = {}
    for one in images:
        tried = [folder / one["file_name"] for folder in folders]
        # Our own export says as well where the image was when it was predicted.
        tried += [root / one["path"]] if "path" in one else []
        places[int(one["id"])] = next((at for at in tried if at.is_file()), tried[0])
    require(path, {str(at): at for at in places.values()})
    return places


def _regions(path: Path, content: _Json, values: Mapping[int, int]) -> dict[int, CocoMask]:
    regions: dict[int, list[Any]] = defaultdict(list)
    for one in content["annotations"]:
        # Boxes alone have no segmentation, and no area that could be painted.
        if one.get("segmentation"):
            regions[int(one["image_id"])].append([_value(path, one, values), one["segmentation"]])
    if any(isinstance(of, list) for found in regions.values() for _, of in found):
        pycocotools_mask(path)
    return {
        int(one["id"]): CocoMask(
            path,
            (int(one["height"]), int(one["width"])),
            json.dumps(regions[int(one["id"])], separators=(",", ":")).encode(),
        )
        for one in content["images"]
    }


def _panoptic(path: Path, content: _Json, values: Mapping[int, int]) -> dict[int, PanopticMask]:
    folder = path.with_suffix("")
    masks: dict[int, PanopticMask] = {}
    for one in content["annotations"]:
        try:
            segments = [(int(of["id"]), _value(path, of, values)) for of in one["segments_info"]]
            masks[int(one["image_id"])] = PanopticMask(folder / one["file_name"], tuple(segments))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found = f"an annotation of image {one['image_id']} that makes no sense ({error!r})"
            mend = "Export the annotations again"
            raise DataError(path, found=found, mend=mend) from None
    require(path, {str(mask.path): mask.path for mask in masks.values()})
    return masks


def _value(path: Path, annotation: _Json, values: Mapping[int, int]) -> int:
    category = annotation.get("category_id")
    if category is None or int(category) not in values:
        found = f"annotation {annotation.get('id')} of category {category}, which is none"
        mend = "Add the category, or export the annotations again"
        raise DataError(path, found=found, expected=listed(list(map(str, values))), mend=mend)
    return values[int(category)]
