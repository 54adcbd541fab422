"""Layout: Cityscapes (Cordts et al., 2016): 19 classes of evaluation, from labelIds or trainIds."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.dataset import SPLITS, Pair, listed
from perpixel.data.found import Found, KnownClasses
from perpixel.data.mask_encoding import IGNORED
from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace

NAME = "cityscapes"
LOOKS_FOR = "leftImg8bit/train/CITY/*_leftImg8bit.png and gtFine/train/CITY/*_labelIds.png"
# Of each class of evaluation, in the order of its trainId: name, labelId, colour.
_CLASSES: tuple[tuple[str, int, Colour], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
_IMAGE = "_leftImg8bit.png"
# What the label files are called, the best first; each with the values of the classes.
_KINDS = {
    "labelIds": tuple(number for _, number, _ in _CLASSES),
    "labelTrainIds": tuple(range(len(_CLASSES))),
}


def recognises(root: Path) -> bool:
    """Whether the folders of photographs and of fine labels are there."""
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()


def read(root: Path) -> Found:
    """The photographs of all cities with their labels; those of the test split may have none.

    Raises:
        DataError: a photograph of another split has no labels.
    """
    folders = {split: root / "leftImg8bit" / split for split in SPLITS}
    images = {
        split: sorted(folder.glob(f"*/*{_IMAGE}"))
        for split, folder in folders.items()
        if folder.is_dir()
    }
    kind = next((kind for kind in _KINDS if any(root.glob(f"gtFine/*/*/*_{kind}.png"))), "labelIds")
    splits: dict[str, tuple[Pair, ...]] = {}
    for split, paths in images.items():
        labels = [
            root / "gtFine" / split / path.parent.name / _label_name(path, kind) for path in paths
        ]
        bare = [path.name for path, label in zip(paths, labels, strict=True) if not label.is_file()]
        if bare and split != "test":
            raise DataError(
                folders[split],
                found=f"{len(bare)} photographs without labels: {listed(bare)}",
                expected=f"files *_gtFine_{kind}.png in {root / 'gtFine' / split}",
                mend="Unpack gtFine_trainvaltest.zip beside the photographs",
            )
        splits[split] = tuple(
            Pair(path, label if label.is_file() else None)
            for path, label in zip(paths, labels, strict=True)
        )
    names = tuple(name for name, _, _ in _CLASSES)
    colours = tuple(colour for _, _, colour in _CLASSES)
    labels_known = LabelSpace(names=names, colours=colours, ignore_index=255)
    numbers = tuple((value, index) for index, value in enumerate(_KINDS[kind]))
    known = KnownClasses(
        labels_known, (*numbers, (255, IGNORED)), rest_ignored=True, certainty="fixed"
    )
    return Found(splits, known, (f"labels are {kind}: the 19 classes of evaluation",))


def _label_name(image: Path, kind: str) -> str:
    return image.name.replace(_IMAGE, f"_gtFine_{kind}.png")
