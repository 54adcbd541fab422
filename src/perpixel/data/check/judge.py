"""From looks to findings: what `check` reports, and `train` refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perpixel.data.check.classes import TRAIN, VAL, never, nothing_labelled, unlabelled
from perpixel.data.check.copies import copies
from perpixel.data.check.finding import Finding, sorted_findings
from perpixel.data.check.kinds import kinds, mixtures
from perpixel.data.check.look import Look
from perpixel.data.check.sizes import sizes
from perpixel.data.check.suspicious import suspicious
from perpixel.data.check.unreadable import swapped, unreadable
from perpixel.data.check.values import values
from perpixel.labels import LabelSpace


def judge(looks: Mapping[str, Sequence[Look]], labels: LabelSpace) -> tuple[Finding, ...]:
    """Everything that the looks at a dataset's splits tell, errors first.

    What was not decoded is not judged: for the same pairs the errors are the same, unless an
    image is damaged inside.

    Args:
        looks: by the name of the split.
        labels: what the masks' values mean.
    """
    findings: list[Finding] = []
    groups = _read_together(looks)
    exchanged = [swapped(group) for group in groups]
    usual = [group for group, other in zip(groups, exchanged, strict=True) if other is None]
    findings += [other for other in exchanged if other is not None]
    for group in usual:
        findings += [*unreadable(group), *sizes(group)]
    findings += values(usual, labels)
    findings += kinds(looks)
    splits = {name: some for name, some in looks.items() if swapped(some) is None}
    for name, some in splits.items():
        findings += [
            *unlabelled(name, some),
            *nothing_labelled(name, some, labels),
            *suspicious(some),
            *mixtures(some),
        ]
    return sorted_findings([*findings, *never(splits, labels), *copies(looks)])


def _read_together(looks: Mapping[str, Sequence[Look]]) -> list[list[Look]]:
    """What a run reads, as one group, and each other split; so that a run's words are the same
    whether another split was read beside it or not."""
    run = [look for name in (TRAIN, VAL) for look in looks.get(name, ())]
    others = [list(some) for name, some in looks.items() if name not in (TRAIN, VAL)]
    return [group for group in (run, *others) if group]
