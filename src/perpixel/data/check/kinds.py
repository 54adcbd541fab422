"""Findings about images of different kinds: bands and number types that cannot be mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from perpixel.data.check.finding import Finding, about, counted
from perpixel.data.check.look import Look
from perpixel.data.dataset import listed, together
from perpixel.errors import DataError

GREY, COLOUR = 1, 3


def bands_of(looks: Iterable[Look]) -> dict[int, Path]:
    """Each number of bands, and the first image that has it; grey counts as colour beside it."""
    bands: dict[int, Path] = {}
    for look in looks:
        if look.header is not None:
            bands.setdefault(look.header.bands, look.pair.image)
    if GREY in bands and COLOUR in bands:
        # Grey becomes RGB by repetition, or RGB grey, as the network asks.
        del bands[GREY]
    return bands


def types_of(looks: Iterable[Look]) -> dict[str, Path]:
    """Each number type, and the first image that has it."""
    types: dict[str, Path] = {}
    for look in looks:
        if look.header is not None:
            types.setdefault(look.header.dtype.name, look.pair.image)
    return types


def kinds(looks: Mapping[str, Sequence[Look]]) -> list[Finding]:
    """Whether all images, of all splits, can go into one network."""
    every = [look for split in looks.values() for look in split]
    findings = []
    bands = {f"{count} bands": path for count, path in bands_of(every).items()}
    for what, there in (("types", types_of(every)), ("bands", bands)):
        if len(there) > 1:
            where, names = together([*there.values()])
            examples = [f"{kind} in {name}" for kind, name in zip(there, names, strict=True)]
            error = DataError(
                where,
                found=f"images of different kinds: {listed(examples)}",
                expected="one kind; only grey and RGB can be mixed",
                mend="Convert the images to one kind",
            )
            findings.append(Finding.of_error(error, f"mixed {what}", there.values()))
    return findings


def mixtures(looks: Sequence[Look]) -> list[Finding]:
    """Notes about what reading changes: grey beside colour, and alpha that is dropped."""
    readable = [look for look in looks if look.header is not None]
    bands = {look.header.bands for look in readable if look.header is not None}
    findings = []
    if {GREY, COLOUR} <= bands:
        grey = [look.pair.image for look in readable if look.header and look.header.bands == GREY]
        findings.append(
            about(
                "note",
                "grey and colour",
                grey,
                f"{counted(len(grey), 'grey image')} among colour images",
                "Do nothing, if grey may be read as colour; else convert them",
            )
        )
    alpha = [look.pair.image for look in readable if look.header and look.header.alpha]
    if alpha:
        findings.append(
            about(
                "note",
                "alpha",
                alpha,
                f"{counted(len(alpha), 'image')} with an alpha band, which is not read",
                "Do nothing, if it holds nothing to learn from",
            )
        )
    return findings
