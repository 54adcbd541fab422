"""Which of the forms of an answer a client wants: RFC 9110, section 12.5.1, on `Accept`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from perpixel.delivery.server.problems import ProblemError

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"
_PART = re.compile(rf"\s*;\s*({_TOKEN})\s*=\s*(?:\"([^\"]*)\"|({_TOKEN}))")
_RANGE = re.compile(rf"\s*(\*|{_TOKEN})/(\*|{_TOKEN})")
# What nobody's header needs, and what takes long to read.
_LONGEST = 4096


@dataclass(frozen=True)
class MediaType:
    """A media type, or in a client's list a range of them with `*`.

    Args:
        kind, form: of `kind/form`.
        parameters: those that name the type; `q` is none of them.
        quality: how much it is wanted, 0 … 1.
    """

    kind: str
    form: str
    parameters: dict[str, str] = field(default_factory=dict)
    quality: float = 1.0

    def __str__(self) -> str:
        return "; ".join(
            [f"{self.kind}/{self.form}", *(f"{key}={one}" for key, one in self.parameters.items())]
        )

    def covers(self, other: MediaType) -> bool:
        """Whether this range has the other type in it."""
        alike = self.kind in ("*", other.kind) and self.form in ("*", other.form)
        return alike and self.parameters.items() <= other.parameters.items()

    @property
    def closeness(self) -> tuple[bool, bool, int]:
        """Of two ranges that cover a type, that of the higher one counts."""
        return self.kind != "*", self.form != "*", len(self.parameters)


def parse_accept(header: str) -> list[MediaType]:
    """The ranges of an `Accept` header; entries that make no sense are left out."""
    ranges = []
    for entry in header[:_LONGEST].lower().split(","):
        match = _RANGE.match(entry)
        if match is None:
            continue
        parts = {key: quoted or plain for key, quoted, plain in _PART.findall(entry[match.end() :])}
        try:
            quality = min(max(float(parts.pop("q", "1")), 0.0), 1.0)
        except ValueError:
            continue
        ranges.append(MediaType(match[1], match[2], parts, quality))
    return ranges


def chosen(header: str | None, offered: tuple[MediaType, ...]) -> MediaType:
    """The offered type that the client wants most; of several the first.

    Args:
        header: the client's `Accept`; None or empty: anything.
        offered: what can be made, the usual first.

    Raises:
        ProblemError: none is wanted (406).
    """
    if not header or not header.strip():
        return offered[0]
    ranges = parse_accept(header)
    best, most = None, 0.0
    for one in offered:
        covering = [wanted for wanted in ranges if wanted.covers(one)]
        if not covering:
            continue
        quality = max(covering, key=lambda wanted: wanted.closeness).quality
        if quality > most:
            best, most = one, quality
    if best is None:
        names = ", ".join(map(str, offered))
        raise ProblemError(
            406, "not_acceptable", f"Nothing that is accepted can be made; it may be {names}."
        )
    return best
