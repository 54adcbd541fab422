"""The fenced code blocks of a page: what its readers copy, and what its tests run."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w+)[^\n]*\n(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A code block: of what kind (sh, python, pycon, yaml, text …), and its lines."""

    kind: str
    text: str


def blocks(page: str, *kinds: str) -> list[Block]:
    """The blocks of these kinds, in the page's order; of all kinds without any."""
    found = (
        Block(match["kind"], re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE))
        for match in _FENCED.finditer(page)
    )
    return [block for block in found if not kinds or block.kind in kinds]


def command_lines(page: str) -> list[str]:
    """The lines of its shell blocks, without comments, and each continued line as one."""
    joined = "\n".join(block.text for block in blocks(page, "sh")).replace("\\\n", " ")
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]
