"""Findings about mask values that are no class: what they probably are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perpixel.data.check.finding import Finding
from perpixel.data.check.look import Look
from perpixel.data.mask_encoding import IGNORED, MaskEncoding, unpack_colour
from perpixel.data.masks import unknown_values
from perpixel.labels import LabelSpace

# So many different values near borders are no forgotten classes.
_BLENDED_VALUES, _BLENDED_SHARE = 4, 0.8
# How far, in the band that differs most, compression moves a colour.
_NEAR = 24
# Spaces between the values that people write to make masks visible: 8-bit grey in 16 bits.
_WIDE_STEPS = (257, 256)
_FIX = "run `perpixel check` with `--fix`"


@dataclass(frozen=True)
class Reading:
    """What values that are no class probably mean.

    Args:
        kind: a short name.
        mend: what to do about it.
        encoding: the values' meaning, where it cannot be another.
    """

    kind: str
    mend: str
    encoding: MaskEncoding | None = None


def values(groups: Sequence[Sequence[Look]], labels: LabelSpace) -> list[Finding]:
    """For each group one finding about its masks' values that are no class, if there are any."""
    reading = read_values([look for group in groups for look in group], labels)
    findings = []
    for group in groups:
        bad = {
            look.pair: sorted(value for value, _ in look.mask.strangers)
            for look in group
            if look.mask is not None and look.mask.strangers
        }
        if not bad:
            continue
        error = unknown_values(bad, labels)
        paths = [pair.mask_path or pair.image for pair in bad]
        kind = "values" if reading is None else f"values: {reading.kind}"
        finding = Finding.of_error(error, kind, paths)
        if reading is not None:
            correctable = reading.encoding is not None
            finding = replace(finding, mend=reading.mend, correctable=correctable)
        findings.append(finding)
    return findings


def read_values(looks: Sequence[Look], labels: LabelSpace) -> Reading | None:
    """What the values that are no class probably mean, from all masks; None: no idea.

    Only masks without an encoding of their own are read so, except for blended borders.
    """
    masks = [look.mask for look in looks if look.mask is not None]
    strangers = {value for mask in masks for value, _ in mask.strangers}
    if not strangers:
        return None
    total = sum(mask.stranger_pixels for mask in masks)
    at_edges = sum(mask.edge_strangers or 0 for mask in masks)
    if len(strangers) >= _BLENDED_VALUES and at_edges >= _BLENDED_SHARE * total:
        return Reading(
            "blended",
            "The values lie along borders between labels, as anti-aliasing, JPEG or a smooth "
            "resize leaves them: make the masks anew, without these",
        )
    if len(strangers) >= _BLENDED_VALUES and _near_colours(looks):
        return Reading(
            "compressed",
            "The colours lie near those of the classes, as JPEG or another lossy format leaves "
            "them: make the masks anew, as PNG",
        )
    if any(look.pair.encoding is not None for look in looks if look.mask is not None):
        return None
    known = {value for mask in masks for value in mask.known}
    return (
        _ignored(strangers, known, labels)
        or _from_one(strangers, known, labels)
        or _scaled(strangers | known, labels)
        or _unnamed(strangers, known, labels)
    )


def _near_colours(looks: Sequence[Look]) -> bool:
    """Whether most unknown pixels have nearly, but not quite, the colour of a class."""
    near = total = 0
    for look in looks:
        encoding = look.pair.encoding
        if look.mask is None or not look.mask.strangers or encoding is None:
            continue
        if encoding.kind != "colours":
            return False
        known = np.array([unpack_colour(value) for value, _ in encoding.mapping])
        found = np.array([unpack_colour(value) for value, _ in look.mask.strangers])
        apart = np.abs(found[:, None] - known).max(axis=2).min(axis=1)
        pixels = np.array([count for _, count in look.mask.strangers])
        near += int(pixels[apart <= _NEAR].sum())
        total += int(pixels.sum())
    return total > 0 and near >= _BLENDED_SHARE * total


def _ignored(strangers: set[int], known: set[int], labels: LabelSpace) -> Reading | None:
    if len(strangers) != 1 or not strangers < {255, 65_535} or len(known) < 2:
        return None
    (void,) = strangers
    if labels.ignore_index in known:
        return None
    mapping = [(value, value) for value in range(labels.classes)] + [(void, IGNORED)]
    return Reading(
        "no ignore index",
        f"{void} usually marks pixels without a label: write `ignore_index: {void}` into "
        f"classes.yaml, or {_FIX}",
        MaskEncoding("numbers", tuple(mapping)),
    )


def _from_one(strangers: set[int], known: set[int], labels: LabelSpace) -> Reading | None:
    if strangers != {labels.classes}:
        return None
    last = labels.classes
    if 0 in known:
        return Reading(
            "0 to classes",
            f"classes.yaml names {last} classes, and the masks hold 0 to {last}: name the missing "
            "one or, if 0 means no label, list 0 under `ignore` and give each class its value "
            "by `merge`",
        )
    mend = "The masks number the classes from 1, classes.yaml from 0: subtract 1"
    mapping = [(index + 1, index) for index in range(last)]
    mapping.append((labels.ignore_index, IGNORED))
    if not set(range(1, last)) <= known:
        # With gaps, the value could also be one class that classes.yaml forgot.
        return Reading("from 1", mend)
    return Reading("from 1", f"{mend}, or {_FIX}", MaskEncoding("numbers", tuple(mapping)))


def _scaled(values: set[int], labels: LabelSpace) -> Reading | None:
    classes = range(labels.classes)
    scales = [{index * step: index for index in classes} for step in _WIDE_STEPS]
    void = labels.ignore_index
    for step, scale in zip(_WIDE_STEPS, scales, strict=True):
        scale.setdefault(void * step, IGNORED)
    if labels.classes > 2:
        for most in (255, 65_535):
            for rounded in (lambda value: int(value), lambda value: round(value)):
                steps = {rounded(index * most / (labels.classes - 1)): index for index in classes}
                # All of them have to occur: 0 and 255 alone say nothing about three classes.
                if set(steps) == values:
                    scales.append(steps)
    fitting = [scale for scale in scales if values <= set(scale)]
    if not fitting:
        return None
    scale = fitting[0]
    return Reading(
        "scaled",
        "The class indices were stretched over the range of grey: divide them by "
        f"{min(value for value in scale if value > 0)}, or {_FIX}",
        MaskEncoding("numbers", tuple(sorted(scale.items()))),
    )


def _unnamed(strangers: set[int], known: set[int], labels: LabelSpace) -> Reading | None:
    last = max(strangers)
    if strangers != set(range(labels.classes, last + 1)) or last > 255:
        return None
    return Reading(
        "unnamed classes",
        f"classes.yaml names {labels.classes} classes, and the masks hold values up to {last}: "
        "name the others too, or list their values under `ignore`",
    )
