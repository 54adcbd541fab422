"""Findings about masks that are not as large as their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from perpixel.data.check.finding import Finding, named
from perpixel.data.check.look import Look
from perpixel.data.header import Header
from perpixel.data.masks import other_size
from perpixel.errors import DataError

# How a mask's size goes with its image's.
Fit = Literal["same", "turned", "transposed", "multiple", "scaled", "other"]
_FIX = "run `perpixel check` with `--fix`"
_MENDS: dict[Fit, str] = {
    "turned": "The image's EXIF orientation says how it is turned, and its mask is not turned: "
    f"turn the mask likewise, or {_FIX}",
    "transposed": "The mask lies on its side: turn it as its image is",
    "multiple": f"Resize the mask by nearest neighbour, or {_FIX}",
    "scaled": "Make the mask for this size of the image, or resize it by nearest neighbour",
}


def fit(header: Header, size: tuple[int, int]) -> Fit:
    """How the size of a mask, (height, width), goes with its image, whose header this is.

    "turned": the mask has the size of the image as it is stored, which its EXIF orientation turns
    on its side. "transposed": without such an orientation. "multiple": one is k times the other,
    k whole. "scaled": of the same shape, within a pixel, but another size.
    """
    if size == header.size:
        return "same"
    (height, width), (rows, columns) = header.size, size
    if (rows, columns) == (width, height):
        return "turned" if header.orientation >= 5 else "transposed"
    if factor(header, size) is not None:
        return "multiple"
    low, high = sorted((rows / height, columns / width))
    return "scaled" if high * min(height, width) - low * min(height, width) <= 1 else "other"


def factor(header: Header, size: tuple[int, int]) -> tuple[int, bool] | None:
    """The whole factor between the two sizes, and whether the mask is the larger; else None."""
    (height, width), (rows, columns) = header.size, size
    larger = rows >= height
    tops, bottoms = (
        ((rows, columns), (height, width)) if larger else ((height, width), (rows, columns))
    )
    times = tops[0] // bottoms[0]
    whole = tops == (times * bottoms[0], times * bottoms[1])
    return (times, larger) if whole and times > 1 else None


def sizes(looks: Sequence[Look]) -> list[Finding]:
    """The masks of a split that have another size than their image, those of one kind together."""
    groups: dict[Fit, list[Look]] = {}
    for look in looks:
        if look.header is not None and look.mask is not None:
            groups.setdefault(fit(look.header, look.mask.size), []).append(look)
    groups.pop("same", None)
    return [_finding(kind, group) for kind, group in groups.items()]


def _finding(kind: Fit, looks: Sequence[Look]) -> Finding:
    errors, details = [], []
    for look in looks:
        assert look.header is not None
        assert look.mask is not None
        path = look.pair.mask_path or look.pair.image
        errors.append((path, other_size(path, look.mask.size, look.header.size)))
        (rows, columns), (height, width) = look.mask.size, look.header.size
        details.append(f"{columns}×{rows} instead of {width}×{height}")
    error, paths = errors[0][1], [path for path, _ in errors]
    mend = _MENDS.get(kind, error.mend)
    if len(errors) > 1:
        where, names = named(paths, details)
        told = f"{len(errors)} masks of another size than their image: {names}"
        error = DataError(where, found=told, mend=mend)
    else:
        error = DataError(error.where, found=error.found, expected=error.expected, mend=mend)
    finding = Finding.of_error(error, f"size: {kind}", paths)
    return replace(finding, correctable=kind in ("turned", "multiple"))
