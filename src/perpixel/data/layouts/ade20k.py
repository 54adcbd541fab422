"""Layout: ADE20K as published for scene parsing (Zhou et al., 2017): 150 classes, 0 is ignored."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.found import Found, KnownClasses
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.pairing import pair_folders
from perpixel.data.texts import listed_labels, read_text
from perpixel.errors import DataError

NAME = "ade20k"
LOOKS_FOR = "images/training and annotations/training (likewise validation)"
INFO = "objectInfo150.txt"
_SPLITS = {"train": "training", "val": "validation", "test": "testing"}
_CLASSES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track,
apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall,
tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal,
bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""


def recognises(root: Path) -> bool:
    """Whether the folder, or the one that the archive makes in it, has the folders of training."""
    return _inside(root) is not None


def read(root: Path) -> Found:
    """The pairs of each split. The names are those of `objectInfo150.txt`, where it is there.

    Raises:
        DataError: an image has no mask, a mask no image, or `objectInfo150.txt` is no table.
    """
    home = _inside(root)
    if home is None:
        return Found({})
    splits = {
        split: pair_folders(home / "images" / folder, home / "annotations" / folder)
        for split, folder in _SPLITS.items()
        if (home / "images" / folder).is_dir()
    }
    names = _names(home / INFO) if (home / INFO).is_file() else _built_in()
    numbers = tuple((index + 1, index) for index in range(len(names)))
    labels = listed_labels(home / INFO, names)
    return Found(splits, KnownClasses(labels, ((0, IGNORED), *numbers)))


def _inside(root: Path) -> Path | None:
    for place in (root, root / "ADEChallengeData2016"):
        if (place / "images/training").is_dir() and (place / "annotations/training").is_dir():
            return place
    return None


def _built_in() -> list[str]:
    return [name.strip() for name in " ".join(_CLASSES.split()).split(",")]


def _names(path: Path) -> list[str]:
    """The last column of the table, up to the first comma; doubled names get their number."""
    names: list[str] = []
    for line in read_text(path).splitlines()[1:]:
        columns = line.split("\t")
        if len(columns) < 2:
            expected = "columns separated by tabs, the name last"
            mend = "Copy the file that came with the data, or remove it"
            raise DataError(path, found=f"a line {line!r}", expected=expected, mend=mend)
        name = columns[-1].split(",")[0].strip()
        names.append(f"{name} {len(names) + 1}" if name in names else name)
    return names
