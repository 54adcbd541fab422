"""Read splits before training does: what is in them, and whether every file can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from perpixel.data.check.finding import Finding, refuse
from perpixel.data.check.judge import judge
from perpixel.data.check.kinds import bands_of, types_of
from perpixel.data.check.look import Look, Progress, look_at_splits
from perpixel.data.dataset import Dataset, Pair
from perpixel.errors import DataError
from perpixel.labels import LabelSpace


@dataclass(frozen=True)
class Scan:
    """What a split holds.

    Args:
        by_image: labelled pixels of each class in each image, in the pairs' order.
        ignored: pixels without a label.
        sizes: how many images have each (height, width), the most frequent first.
        bands: of the images; 3 where some are grey and the others RGB.
        dtype: of the images.
    """

    by_image: Int64[np.ndarray, "images classes"]
    ignored: int
    sizes: Mapping[tuple[int, int], int]
    bands: int
    dtype: np.dtype[np.generic]

    @property
    def pixels(self) -> Int64[np.ndarray, "classes"]:
        """Labelled pixels of each class, over all masks."""
        return np.asarray(self.by_image.sum(axis=0))


def scan(pairs: Sequence[Pair], labels: LabelSpace, progress: Progress | None = None) -> Scan:
    """Read every image's header and every mask, and check that they can be trained on.

    A truncated image is found without decoding it, by the end that its format prescribes.

    Args:
        pairs: at least one.
        labels: what the masks' values mean.
        progress: told (done, total) after each pair.

    Raises:
        DataError: a file is missing, truncated or unreadable; a mask has another size than its
            image, or values that are no class; the images' bands or types cannot be mixed.
    """
    return _scan({"": pairs}, labels, progress)[0][""]


def scan_splits(
    dataset: Dataset, names: Sequence[str], progress: Progress | None = None
) -> tuple[dict[str, Scan], tuple[Finding, ...]]:
    """`scan` for several splits, which are checked against each other too.

    Args:
        dataset: what is read.
        names: of its splits.
        progress: told (done, total) after each pair.

    Returns:
        what each split holds, and what `perpixel check` would warn of or note without decoding
        the images.

    Raises:
        DataError: there is no such split, or what `perpixel check` calls an error is found.
    """
    return _scan({name: dataset.split(name) for name in names}, dataset.labels, progress)


def _scan(
    splits: Mapping[str, Sequence[Pair]], labels: LabelSpace, progress: Progress | None
) -> tuple[dict[str, Scan], tuple[Finding, ...]]:
    if not all(splits.values()):
        raise DataError("scan", found="no images", mend="Give at least one image")
    looks = look_at_splits(splits, labels, progress)
    findings = judge(looks, labels)
    refuse(findings)
    return {name: _sum(some, labels) for name, some in looks.items()}, findings


def _sum(looks: Sequence[Look], labels: LabelSpace) -> Scan:
    nothing = np.zeros(labels.classes, np.int64)
    masks = [look.mask for look in looks]
    (bands,), (dtype,) = bands_of(looks), types_of(looks)
    return Scan(
        by_image=np.stack([nothing if mask is None else mask.pixels for mask in masks]),
        ignored=sum(mask.ignored for mask in masks if mask is not None),
        sizes=dict(Counter(look.header.size for look in looks if look.header).most_common()),
        bands=bands,
        dtype=np.dtype(dtype),
    )
