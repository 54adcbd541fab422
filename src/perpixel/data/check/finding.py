"""Finding: one thing about a dataset that its owner should know, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from perpixel.data.dataset import listed, together
from perpixel.errors import DataError

# An error keeps `train` from starting; a warning is worth a look; a note is only said.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# The kind of what keeps a folder from being opened as a dataset.
FOLDER = "folder"


@dataclass(frozen=True)
class Finding:
    """What was found, said as every error of perpixel is: where, found, expected, mend.

    Args:
        severity: whether training is refused.
        kind: a short name, the same for all findings of a sort: "truncated", "size", …
        where: the file or folder that is concerned.
        found: what was found.
        mend: what the user can do, as an imperative sentence without its full stop.
        expected: what should have been there; empty where `found` says it.
        files: every file that is concerned; `found` names ten of them at most.
        correctable: whether `check --fix` corrects it.
    """

    severity: Severity
    kind: str
    where: str
    found: str
    mend: str
    expected: str = ""
    files: tuple[str, ...] = ()
    correctable: bool = False

    @classmethod
    def of_error(cls, error: DataError, kind: str, files: Iterable[Path] = ()) -> Finding:
        """The finding that says the same as an error."""
        return cls(
            severity="error",
            kind=kind,
            where=error.where,
            found=error.found,
            expected=error.expected,
            mend=error.mend,
            files=tuple(map(str, files)) or (error.where,),
        )

    def as_error(self) -> DataError:
        """The error that says the same."""
        return DataError(self.where, found=self.found, expected=self.expected, mend=self.mend)

    @property
    def message(self) -> str:
        """Everything in one line."""
        return str(self.as_error())

    def as_json(self) -> dict[str, Any]:
        """The finding as plain values, for JSON."""
        return {**vars(self), "files": list(self.files), "message": self.message}


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The errors first, then warnings, then notes; else in the given order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def refuse(findings: Sequence[Finding]) -> None:
    """Refuse data with errors.

    Raises:
        DataError: the first error among the findings, and how many others there are.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if len(errors) > 1:
        others = f"{len(errors) - 1} other error{'s' if len(errors) > 2 else ''}"
        raise replace(
            errors[0], mend=f"{errors[0].mend} (`perpixel check` lists {others})"
        ).as_error()
    if errors:
        raise errors[0].as_error()


def named(paths: Sequence[Path], details: Sequence[str] = ()) -> tuple[Path, str]:
    """Where files are (see `together`), and up to ten of them in one line, each with its detail
    in brackets where there is one."""
    where, names = together(paths)
    if details:
        names = [f"{name} ({detail})" for name, detail in zip(names, details, strict=True)]
    return where, listed(names)


def about(severity: Severity, kind: str, paths: Sequence[Path], found: str, mend: str) -> Finding:
    """A finding about files, which are named behind what was found where they are several."""
    where, names = named(paths)
    return Finding(
        severity=severity,
        kind=kind,
        where=str(where),
        found=found if len(paths) == 1 else f"{found}: {names}",
        mend=mend,
        files=tuple(map(str, paths)),
    )


def counted(number: int, thing: str) -> str:
    """So many things: "1 mask", "2 masks"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
