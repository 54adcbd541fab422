"""Findings about files that can be used but do not look right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from perpixel.data.check.finding import Finding, about, counted
from perpixel.data.check.look import Look
from perpixel.labels import Colour


def suspicious(looks: Sequence[Look]) -> list[Finding]:
    """Masks and images of a split that are worth a look."""
    warnings = (
        (
            "blended masks",
            [_mask(look) for look in looks if _blended(look)],
            "mask",
            "whose borders pass through the classes numbered between",
            "Make them anew: a smooth resize averaged the class indices",
        ),
        (
            "EXIF orientation",
            [look.pair.image for look in looks if _maybe_turned(look)],
            "image",
            "that the EXIF orientation turns, whose mask is as large either way",
            "Look whether the masks are turned likewise; write images and masks without an "
            "orientation",
        ),
        (
            "palettes",
            _other_palettes(looks),
            "mask",
            "whose palette gives a class another colour than the other masks' palettes",
            "Look whether the index of each class is the same in all masks",
        ),
        (
            "images of one value",
            [look.pair.image for look in looks if _single_value(look)],
            "image",
            "whose pixels are all equal",
            "Look whether they were written as they should be",
        ),
        (
            "names that differ in case",
            _same_but_for_case([look.pair.image for look in looks]),
            "image",
            "whose names differ in upper and lower case alone",
            "Rename them: on many file systems one would overwrite the other",
        ),
    )
    return [
        about("warning", kind, paths, f"{counted(len(paths), thing)} {found}", mend)
        for kind, paths, thing, found, mend in warnings
        if paths
    ]


def _mask(look: Look) -> Path:
    return look.pair.mask_path or look.pair.image


def _blended(look: Look) -> bool:
    return look.mask is not None and look.mask.seams is not None and look.mask.seams.blended


def _single_value(look: Look) -> bool:
    return look.fingerprint is not None and look.fingerprint.single_value


def _maybe_turned(look: Look) -> bool:
    """Whether nothing but the picture itself tells if the mask belongs to it turned or not."""
    if look.header is None or look.mask is None or look.header.orientation == 1:
        return False
    height, width = look.header.size
    sideways = look.header.orientation >= 5 and height != width
    # A mask that states an orientation of its own was turned with its image.
    return not sideways and look.mask.size == look.header.size and look.mask.turned == 1


def _other_palettes(looks: Sequence[Look]) -> list[Path]:
    usual: dict[int, Counter[Colour]] = {}
    for look in looks:
        for value, colour in look.mask.palette if look.mask else ():
            usual.setdefault(value, Counter())[colour] += 1
    most = {value: colours.most_common(1)[0][0] for value, colours in usual.items()}
    return [
        _mask(look)
        for look in looks
        if look.mask and any(most[value] != colour for value, colour in look.mask.palette)
    ]


def _same_but_for_case(paths: Sequence[Path]) -> list[Path]:
    folded: dict[str, set[Path]] = {}
    for path in paths:
        folded.setdefault(str(path.with_suffix("")).casefold(), set()).add(path)
    return sorted(path for group in folded.values() if len(group) > 1 for path in group)
