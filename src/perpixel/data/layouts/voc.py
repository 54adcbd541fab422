"""Layout: PASCAL VOC (Everingham et al., 2010), and what labelling tools export in its form."""

from __future__ import annotations

import re
from pathlib import Path

from perpixel.data.dataset import Pair, listed
from perpixel.data.found import UNSPLIT, Found, KnownClasses, splits_there
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import by_stem, require
from perpixel.data.texts import listed_labels, read_text
from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace

NAME = "voc"
LOOKS_FOR = "JPEGImages and SegmentationClass, with ImageSets/Segmentation/train.txt and val.txt"
CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
VOID: Colour = (224, 224, 192)


def voc_colour(index: int) -> Colour:
    """The colour that VOC's palette has for an index: its bits, spread over the three bands."""
    bands = [0, 0, 0]
    for bit in range(8):
        for band in range(3):
            bands[band] |= (index >> (3 * bit + band) & 1) << (7 - bit)
    return bands[0], bands[1], bands[2]


VOC_LABELS = LabelSpace(
    names=CLASSES, colours=tuple(map(voc_colour, range(len(CLASSES)))), ignore_index=255
)


def recognises(root: Path) -> bool:
    """Whether the folder, or the one that the archive makes in it, has VOC's folders."""
    return _inside(root) is not None


def read(root: Path) -> Found:
    """The images that the lists name; without lists, those that have a mask.

    Raises:
        DataError: a list is no text, an image or mask that it names is missing, or
            `labelmap.txt` is wrong.
    """
    home = _inside(root)
    if home is None:
        return Found({})
    lists = home / "ImageSets" / "Segmentation"
    splits = _lists(lists)
    images, masks = by_stem(home / "JPEGImages"), by_stem(home / "SegmentationClass")
    found = {name: _stems(path) for name, path in splits.items()}
    found = found or {UNSPLIT: list(masks)}
    pairs: dict[str, tuple[Pair, ...]] = {}
    for split, stems in found.items():
        place = {stem: images.get(stem, home / "JPEGImages" / f"{stem}.jpg") for stem in stems}
        require(splits.get(split, home / "SegmentationClass"), place)
        bare = [stem for stem in stems if stem not in masks]
        if bare and split != "test":
            raise DataError(
                splits.get(split, home),
                found=f"{len(bare)} images without a mask: {listed(bare)}",
                expected=f"a file of the same stem in {home / 'SegmentationClass'}",
                mend="Add the masks, or take the images out of the list",
            )
        pairs[split] = tuple(Pair(place[stem], masks.get(stem)) for stem in stems)
    return Found(pairs, _known(home))


def _lists(folder: Path) -> dict[str, Path]:
    """The list of each split: `Train.txt` and `valid.txt` are lists of splits, too."""
    there = {path.stem.lower(): path for path in sorted(folder.glob("[!.]*.txt"))}
    names = splits_there(folder, there.__contains__)
    if len(there) > 1 and not names:
        raise DataError(
            folder,
            found=f"lists of no known split: {listed([path.name for path in there.values()])}",
            expected="train.txt, val.txt and test.txt, or one list of all",
            mend="Rename them",
        )
    # Tools write all names into one list, whatever they call it.
    return {split: there[name] for split, name in names.items()} or dict.fromkeys(
        [UNSPLIT] if there else [], next(iter(there.values()), folder)
    )


def _stems(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _inside(root: Path) -> Path | None:
    for place in (root, *sorted(root.glob("VOC20*")), *sorted(root.glob("VOCdevkit/VOC20*"))):
        if (place / "JPEGImages").is_dir() and (place / "SegmentationClass").is_dir():
            return place
    return None


def _known(home: Path) -> KnownClasses:
    """VOC's classes, or those of a tool's `labelmap.txt`: `name:red,green,blue:parts:actions`."""
    path = home / "labelmap.txt"
    if not path.is_file():
        numbers = [(index, index) for index in range(len(CLASSES))]
        return KnownClasses(VOC_LABELS, (*numbers, (255, IGNORED)), ignored_colours=(VOID,))
    entries: list[tuple[str, Colour]] = []
    for line in read_text(path).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.match(r"([^:]+):(\d+),(\d+),(\d+)(:|$)", line.strip())
        if match is None or max(map(int, match.group(2, 3, 4))) > 255:
            found, mend = f"a line {line!r}", "Write `name:red,green,blue::`"
            raise DataError(path, found=found, mend=mend)
        entries.append((match[1], (int(match[2]), int(match[3]), int(match[4]))))
    labels = listed_labels(path, [name for name, _ in entries], [colour for _, colour in entries])
    numbers = [(index, index) for index in range(labels.classes)]
    return KnownClasses(labels, (*numbers, (255, IGNORED)), ignored_colours=())
