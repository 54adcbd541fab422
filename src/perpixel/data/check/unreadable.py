"""Findings about files that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perpixel.data.check.finding import Finding, about, named
from perpixel.data.check.look import Look
from perpixel.errors import DataError

UNREADABLE_MASK = "unreadable mask"
# More values than this in a mask of one band: it is a photograph.
_PHOTOGRAPH = 64


def unreadable(looks: Sequence[Look]) -> list[Finding]:
    """The files of a split that cannot be read, those of one fault together."""
    findings = _grouped("unreadable image", [(one.pair.image, one.image_fault) for one in looks])
    masks = [(one.pair.mask_path, one.mask_fault) for one in looks]
    return findings + _grouped(UNREADABLE_MASK, masks)


def swapped(looks: Sequence[Look]) -> Finding | None:
    """Whether the images of a split look like masks, and its masks like photographs."""
    pairs = [one for one in looks if one.header is not None and one.pair.mask is not None]
    if not pairs or not all(_swapped(one) for one in pairs):
        return None
    files = [one.pair.image for one in pairs]
    finding = about(
        "error",
        "swapped",
        files,
        f"{len(pairs)} images of one band whose masks are photographs",
        "Exchange images and masks, which seem to be swapped",
    )
    return replace(finding, expected="photographs as images, class indices as masks")


def _swapped(look: Look) -> bool:
    if look.header is None or look.header.bands != 1 or look.header.format == "JPEG":
        return False
    if look.mask is not None:
        return len(look.mask.strangers) > _PHOTOGRAPH and look.mask.edge_strangers is None
    return look.mask_fault is not None and "JPEG" in look.mask_fault.found


def _grouped(kind: str, faults: Sequence[tuple[Path | None, DataError | None]]) -> list[Finding]:
    groups: dict[tuple[str, str, str], list[tuple[Path, DataError]]] = {}
    for path, fault in faults:
        if path is not None and fault is not None:
            group = groups.setdefault((fault.found, fault.expected, fault.mend), [])
            # One file may be the image of several pairs.
            if path not in [known for known, _ in group]:
                group.append((path, fault))
    findings = []
    for (found, expected, mend), group in groups.items():
        paths = [path for path, _ in group]
        error = group[0][1]
        if len(group) > 1:
            where, names = named(paths)
            told = f"{len(group)} files: {found}: {names}"
            error = DataError(where, found=told, expected=expected, mend=mend)
        findings.append(Finding.of_error(error, kind, paths))
    return findings
