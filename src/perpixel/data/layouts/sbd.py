"""Layout: SBD, the Semantic Boundaries Dataset (Hariharan et al., 2011): VOC's classes in MATLAB
files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from perpixel.data.dataset import Pair
from perpixel.data.found import Found, KnownClasses
from perpixel.data.header import read_file
from perpixel.data.layouts.voc import VOC_LABELS
from perpixel.data.mask_encoding import IGNORED
from perpixel.data.matlab import read_field
from perpixel.data.pairing import require
from perpixel.data.texts import read_text
from perpixel.errors import DataError

NAME = "sbd"
LOOKS_FOR = "img and cls (MATLAB files), with train.txt and val.txt, here or in `dataset`"


@dataclass(frozen=True)
class MatlabMask:
    """The segmentation in one of SBD's files.

    Args:
        path: of the file.
    """

    path: Path

    def read(self) -> Shaped[np.ndarray, "H W"]:
        """The class indices.

        Raises:
            DataError: the file is missing or damaged, or holds no segmentation.
        """
        try:
            mask = read_field(read_file(self.path), ["GTcls", "Segmentation"])
        except ValueError as error:
            mend = "Copy or download the file again, or leave it out"
            raise DataError(self.path, found=str(error), mend=mend) from None
        if mask is None or mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
            expected = "a field Segmentation of class indices in GTcls"
            mend = "Take the files of the folder `cls`"
            raise DataError(self.path, found="no segmentation", expected=expected, mend=mend)
        return np.ascontiguousarray(mask)


def recognises(root: Path) -> bool:
    """Whether the folder, or the one that the archive makes in it, has SBD's folders."""
    return _inside(root) is not None


def read(root: Path) -> Found:
    """The images that the lists name.

    Raises:
        DataError: a list is missing or no text, or an image or a label that it names is missing.
    """
    home = _inside(root)
    if home is None:
        return Found({})
    splits: dict[str, tuple[Pair, ...]] = {}
    for split in ("train", "val"):
        path = home / f"{split}.txt"
        require(home, {path.name: path})
        stems = read_text(path).split()
        images = {f"img/{stem}.jpg": home / "img" / f"{stem}.jpg" for stem in stems}
        labels = {f"cls/{stem}.mat": home / "cls" / f"{stem}.mat" for stem in stems}
        require(path, images | labels)
        pairs = zip(images.values(), labels.values(), strict=True)
        splits[split] = tuple(Pair(image, MatlabMask(label)) for image, label in pairs)
    numbers = [(index, index) for index in range(VOC_LABELS.classes)]
    return Found(splits, KnownClasses(VOC_LABELS, (*numbers, (255, IGNORED))))


def _inside(root: Path) -> Path | None:
    for place in (root, root / "dataset", root / "benchmark_RELEASE" / "dataset"):
        if (place / "img").is_dir() and (place / "cls").is_dir():
            return place
    return None
