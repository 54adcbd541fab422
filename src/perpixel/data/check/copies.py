"""Findings about images that occur twice: in two splits, or in one with different masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from perpixel.data.check.finding import Finding, Severity
from perpixel.data.check.fingerprint import near_copies
from perpixel.data.check.look import Look
from perpixel.data.dataset import listed, together


class _Copy(NamedTuple):
    """Two images that seem to be one."""

    one: Look
    other: Look

    @property
    def files(self) -> tuple[Path, Path]:
        return self.one.pair.image, self.other.pair.image


def copies(looks: Mapping[str, Sequence[Look]]) -> list[Finding]:
    """The same image in two splits: of equal bytes or pixels, or nearly so; and twice in one."""
    exact, near = [], []
    for ours, others in combinations(looks.values(), 2):
        same = _same(ours, others)
        exact += [_Copy(ours[a], others[b]) for a, b in same.items()]
        alike = _alike(ours, others)
        near += [_Copy(ours[a], others[b]) for a, b in alike if a not in same]
    findings = []
    if exact:
        findings.append(
            _finding(
                "same image in two splits",
                exact,
                "the same image in two splits",
                "Take it out of one of them: a model knows the answers to what it has seen",
            )
        )
    if near:
        findings.append(
            _finding(
                "near copies in two splits",
                near,
                "nearly the same image in two splits",
                "Look at them, and take one of each out if they are copies",
            )
        )
    for split, some in looks.items():
        findings += _twice(split, some)
    return findings


def _twice(split: str, looks: Sequence[Look]) -> list[Finding]:
    first: dict[bytes, Look] = {}
    double: list[_Copy] = []
    contradicting: list[_Copy] = []
    for look in looks:
        for key in _keys(look):
            known = first.setdefault(key, look)
            if known is look:
                continue
            differ = (
                known.mask is not None
                and look.mask is not None
                and known.mask.digest != look.mask.digest
            )
            (contradicting if differ else double).append(_Copy(known, look))
            break
    findings = []
    if contradicting:
        findings.append(
            _finding(
                "same image, other mask",
                contradicting,
                f"the same image twice in the split {split}, with different masks",
                "Keep the mask that is right",
            )
        )
    if double:
        findings.append(
            _finding(
                "same image twice",
                double,
                f"the same image twice in the split {split}",
                "Remove one of them",
                "note",
            )
        )
    return findings


def _keys(look: Look) -> list[bytes]:
    """What two equal images have in common: their bytes or, where they were decoded, pixels."""
    keys = [b"file" + look.digest] if look.digest else []
    # Pictures of one single value are equal without being copies.
    if look.fingerprint is not None:
        if look.fingerprint.single_value:
            return []
        keys.append(b"pixels" + look.fingerprint.digest)
    return keys


def _same(ours: Sequence[Look], others: Sequence[Look]) -> dict[int, int]:
    """For each of ours that is among the others: its index, and that of the first equal one."""
    places: dict[bytes, int] = {}
    for at, look in enumerate(others):
        for key in _keys(look):
            places.setdefault(key, at)
    found = {}
    for at, look in enumerate(ours):
        equal = next((places[key] for key in _keys(look) if key in places), None)
        if equal is not None:
            found[at] = equal
    return found


def _alike(ours: Sequence[Look], others: Sequence[Look]) -> list[tuple[int, int]]:
    left = [(at, look.fingerprint) for at, look in enumerate(ours) if look.fingerprint]
    right = [(at, look.fingerprint) for at, look in enumerate(others) if look.fingerprint]
    found = near_copies([one for _, one in left], [one for _, one in right])
    return [(left[a][0], right[b][0]) for a, b in found]


def _finding(
    kind: str, found: Sequence[_Copy], what: str, mend: str, severity: Severity = "warning"
) -> Finding:
    files = list(dict.fromkeys(path for copy in found for path in copy.files))
    where, names = together(files)
    name_of = dict(zip(files, names, strict=True))
    told = [" = ".join(name_of[path] for path in copy.files) for copy in found]
    return Finding(
        severity=severity,
        kind=kind,
        where=str(where),
        found=f"{what}: {listed(told)}",
        mend=mend,
        files=tuple(map(str, files)),
    )
