"""Layout: CamVid (Brostow et al., 2009), as published with 32 colours, and as published with SegNet
(Badrinarayanan et al., 2017) with the indices of 11 classes."""

from __future__ import annotations

import csv
from pathlib import Path

from perpixel.data.dataset import Pair
from perpixel.data.found import UNSPLIT, Found, KnownClasses, splits_there
from perpixel.data.layouts import list_files
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import has_pictures, pair_folders
from perpixel.data.texts import listed_labels, read_text
from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace

NAME = "camvid"
LOOKS_FOR = (
    "train and trainannot (indices), or train and train_labels, or 701_StillsRaw_full and "
    "LabeledApproved_full (colours)"
)
VOID = "Void"
# The 32 classes in the order of the published list.
COLOURS: dict[str, Colour] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    VOID: (0, 0, 0),
    "Wall": (64, 192, 0),
}
# SegNet's 11 classes in the order of their indices, and what they are made of.
GROUPS: dict[str, tuple[str, ...]] = {
    "sky": ("Sky",),
    "building": ("Building", "Wall", "Tunnel", "Bridge", "Archway"),
    "pole": ("Column_Pole", "TrafficCone"),
    "road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "tree": ("Tree", "VegetationMisc"),
    "sign": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "fence": ("Fence",),
    "car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "bicyclist": ("Bicyclist", "MotorcycleScooter"),
}
GROUPED = LabelSpace(
    names=tuple(GROUPS), colours=tuple(COLOURS[of[0]] for of in GROUPS.values()), ignore_index=11
)
_INDEXED, _COLOURED = ("train", "trainannot"), ("train", "train_labels")
_PUBLISHED = ("701_StillsRaw_full", "LabeledApproved_full")
_LISTED_COLOURS = "class_dict.csv"


def recognises(root: Path) -> bool:
    """Whether the folders of one of the published forms are there, and no list of pairs."""
    forms = (_INDEXED, _COLOURED, _PUBLISHED)
    here = any(all(has_pictures(root / name) for name in form) for form in forms)
    return here and not list_files.names_real_files(root)


def read(root: Path) -> Found:
    """The pairs of each split: 11 classes where masks are indices, 31 and Void where colours.

    Raises:
        DataError: an image has no mask, a mask no image, or `class_dict.csv` is wrong.
    """
    if has_pictures(root / _INDEXED[1]):
        numbers = tuple((index, index) for index in range(GROUPED.classes))
        known = KnownClasses(GROUPED, (*numbers, (GROUPED.classes, IGNORED)))
        return Found(
            _splits(root, "annot"), known, ("masks are the indices of SegNet's 11 classes",)
        )
    return Found(colour_splits(root), _all_colours(root), ("masks are CamVid's colours",))


def colour_splits(root: Path) -> dict[str, tuple[Pair, ...]]:
    """The pairs of the form whose masks are colours.

    Raises:
        DataError: an image has no mask, or a mask no image.
    """
    if (root / _PUBLISHED[0]).is_dir():
        return {UNSPLIT: pair_folders(root / _PUBLISHED[0], root / _PUBLISHED[1])}
    return _splits(root, "_labels")


def _splits(root: Path, ending: str) -> dict[str, tuple[Pair, ...]]:
    names = splits_there(root, lambda name: has_pictures(root / name))
    return {
        split: pair_folders(root / name, root / f"{name}{ending}") for split, name in names.items()
    }


def _all_colours(root: Path) -> KnownClasses:
    entries = list(COLOURS.items())
    if (root / _LISTED_COLOURS).is_file():
        entries = _listed_colours(root / _LISTED_COLOURS)
    void = dict(entries).get(VOID, COLOURS[VOID])
    classes = [entry for entry in entries if entry[0] != VOID]
    labels = listed_labels(
        root / _LISTED_COLOURS, [name for name, _ in classes], [colour for _, colour in classes]
    )
    return KnownClasses(labels, (), ignored_colours=(void,), certainty="suggested")


def _listed_colours(path: Path) -> list[tuple[str, Colour]]:
    entries: list[tuple[str, Colour]] = []
    for row in csv.reader(read_text(path).splitlines()[1:]):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        numbers = [int(cell) for cell in cells[1:] if cell.isdecimal()]
        if len(cells) != 4 or len(numbers) != 3 or max(numbers) > 255:
            found, mend = f"a line {','.join(row)!r}", "Write `name,red,green,blue`"
            raise DataError(path, found=found, mend=mend)
        entries.append((cells[0], (numbers[0], numbers[1], numbers[2])))
    return entries
