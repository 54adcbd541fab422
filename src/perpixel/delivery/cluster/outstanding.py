"""What is left to do: from the images, the rows and the masks that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perpixel.delivery.cluster.images import Image
from perpixel.delivery.cluster.manifest import Known
from perpixel.delivery.cluster.store import Entry


@dataclass(frozen=True, slots=True)
class Task:
    """One image for a worker.

    Args:
        image: its address.
        size, version: of the image, for its row.
        mask: the name of its mask.
        is_there: a mask without a row is there: if it is whole, only the row is missing.
        is_stale: a mask is there that is not this image's any more.
    """

    image: str
    size: int
    version: str
    mask: str
    is_there: bool = False
    is_stale: bool = False


def outstanding(
    images: Sequence[Image],
    masks: Sequence[str],
    known: Mapping[str, Known],
    files: Mapping[str, Entry],
) -> list[Task]:
    """The images that have no row, or whose row is not true any more.

    A row is true where image and mask are what they were: the image's size and version, the mask's
    size. (A mask of that size is whole: it was put there whole.) What cannot be predicted has a
    true row as well, unless it was for a passing reason.

    Args:
        images: all.
        masks: the name of each one's mask.
        known: by image, what the manifest says.
        files: by name, what is in the store of the results.
    """
    left = []
    for image, mask in zip(images, masks, strict=True):
        row, entry, there = known.get(image.address), image.entry, files.get(mask)
        unchanged = row is not None and (row.size, row.version) == (entry.size, entry.version)
        if row is not None and unchanged:
            if row.mask is None and not row.try_again:
                continue
            if row.mask == mask and there is not None and there.size == row.mask_size:
                continue
        # A mask of which no row tells is trusted where it is younger than its image.
        is_there = row is None and there is not None and _is_younger(there, entry)
        is_stale = there is not None and not is_there
        left.append(Task(image.address, entry.size, entry.version, mask, is_there, is_stale))
    return left


def _is_younger(mask: Entry, image: Entry) -> bool:
    if mask.modified is None or image.modified is None:
        return False
    return mask.modified >= image.modified
