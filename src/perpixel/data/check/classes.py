"""Findings about what the masks label: nothing, one class alone, or never some class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from perpixel.data.check.finding import Finding, about, counted
from perpixel.data.check.look import Look, MaskLook
from perpixel.data.dataset import listed
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

TRAIN, VAL = "train", "val"


def occurrence(
    looks: Sequence[Look], labels: LabelSpace
) -> tuple[Int64[np.ndarray, "classes"], Int64[np.ndarray, "classes"]]:
    """Of each class: its pixels, and the images that have it."""
    counts = np.zeros((len(looks), labels.classes), np.int64)
    for at, look in enumerate(looks):
        if look.mask is not None:
            counts[at] = look.mask.pixels
    return counts.sum(axis=0), (counts > 0).sum(axis=0)


def unlabelled(split: str, looks: Sequence[Look]) -> list[Finding]:
    """Images that have no mask: an error where they should train or validate."""
    without = [look.pair.image for look in looks if look.pair.mask is None]
    if not without:
        return []
    roles = {TRAIN: "training", VAL: "validation"}
    if split not in roles:
        mend = "Add masks, if the split is to be evaluated"
        return [
            about(
                "note", "no mask", without, f"{counted(len(without), 'image')} without a mask", mend
            )
        ]
    role = roles[split]
    mend = f"Add the mask, or take the image out of the {role} split"
    if len(without) > 1:
        found = f"{len(without)} {role} images without a mask"
        return [about("error", "no mask", without, found, mend)]
    error = DataError(without[0], found=f"a {role} image without a mask", mend=mend)
    return [Finding.of_error(error, "no mask")]


def nothing_labelled(split: str, looks: Sequence[Look], labels: LabelSpace) -> list[Finding]:
    """Masks without a label or with a single class; and whether that is so of a whole split."""
    masks = [(look, look.mask) for look in looks if look.mask is not None]
    if not masks:
        return []
    known = not any(mask.strangers for _, mask in masks)
    pixels, _ = occurrence(looks, labels)
    findings = []
    there = [labels.names[index] for index in np.flatnonzero(pixels)]
    alone = len(there) == 1 and split == TRAIN
    if known and (alone or not there):
        findings.append(_split_says_nothing(split, masks, there, labels))
    else:
        empty = [look for look, mask in masks if not mask.pixels.any() and not mask.strangers]
        single = [look for look, mask in masks if _one_class(mask)]
        if empty:
            findings.append(
                about(
                    "warning",
                    "empty masks",
                    [look.pair.mask_path or look.pair.image for look in empty],
                    f"{counted(len(empty), 'mask')} without any label",
                    "Label them, or leave these images out",
                )
            )
        if single and labels.classes > 1:
            findings.append(
                about(
                    "note",
                    "one class",
                    [look.pair.mask_path or look.pair.image for look in single],
                    f"{counted(len(single), 'mask')} of one class alone",
                    "Do nothing, if that is what the images show",
                )
            )
    return findings


def _one_class(mask: MaskLook) -> bool:
    return bool((mask.pixels > 0).sum() == 1) and not mask.ignored and not mask.strangers


def _split_says_nothing(
    split: str, masks: Sequence[tuple[Look, MaskLook]], there: list[str], labels: LabelSpace
) -> Finding:
    paths = [look.pair.mask_path or look.pair.image for look, _ in masks]
    found = f"all {len(masks)} masks of the split {split} hold no label"
    if there:
        found = f"all {len(masks)} masks of the split {split} hold the class {there[0]!r} alone"
    values = sorted({value for _, mask in masks for value in mask.known})
    mend = "Label the pixels with the classes' indices"
    if 0 in values and set(values) <= {0, labels.ignore_index}:
        shown = " and ".join(map(str, values))
        mend = (
            f"The masks hold {shown}, and {labels.ignore_index} means no label: name two classes "
            "without `ignore_index` if the masks are binary, else label the other classes"
        )
    return about("error", "nothing to learn", paths, found, mend)


def never(looks: Mapping[str, Sequence[Look]], labels: LabelSpace) -> list[Finding]:
    """Classes that no mask, or no training mask, has."""
    counted = {split: occurrence(some, labels)[0] for split, some in looks.items()}
    if TRAIN not in counted or any(
        look.mask is not None and look.mask.strangers for some in looks.values() for look in some
    ):
        return []
    total = sum(counted.values(), np.zeros(labels.classes, np.int64))
    places = {
        "in no mask": (total == 0, "Remove them from classes.yaml, or look for their masks"),
        "in no training mask": (
            (counted[TRAIN] == 0) & (total > 0),
            "Move images that have them into the training split",
        ),
    }
    findings = []
    for place, (which, mend) in places.items():
        names = [labels.names[index] for index in np.flatnonzero(which)]
        if names:
            findings.append(
                Finding(
                    severity="warning",
                    kind="classes that never occur",
                    where="classes.yaml",
                    found=f"{place.capitalize()} occurs: {listed(names)}",
                    mend=mend,
                )
            )
    return findings
