"""Every name that code reads is there. The words of shapes such as "batch H W", in annotations, are
no names, so the style check and the type check are told not to ask for names at all."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "docs")
    for path in (ROOT / folder).rglob("*.py")
)
# What a module has without saying so.
GIVEN = {
    *dir(builtins),
    "__file__",
    "__name__",
    "__doc__",
    "__path__",
    "__qualname__",
    "__annotations__",
}
READS = {"LOAD_GLOBAL", "LOAD_NAME"}
WRITES = {"STORE_GLOBAL", "STORE_NAME"}


def unknown_names(source: str) -> set[str]:
    """The names that a source reads from its module, and that nothing in it puts there."""
    module = compile(source, "source", "exec", dont_inherit=True)
    if "import *" in source:
        return set()
    there = GIVEN | names(module, WRITES)
    there |= {name for code in within(module) for name in names(code, {"STORE_GLOBAL"})}
    return {
        name
        for code in within(module)
        for name in names(code, READS) - there - names(code, {"STORE_NAME"})
    }


def within(code: CodeType) -> Iterator[CodeType]:
    """A code object, and all that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from within(constant)


def names(code: CodeType, operations: set[str]) -> set[str]:
    """The names with which a code object does this."""
    return {str(step.argval) for step in dis.get_instructions(code) if step.opname in operations}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_name_is_there(file: Path) -> None:
    assert unknown_names(file.read_text(encoding="utf-8")) == set()


def test_a_name_that_is_not_there_is_seen() -> None:
    source = (
        "import os\ndef late():\n    return os.sep + torch.sep\nclass A:\n    b = 1\n    c = b\n"
    )
    assert unknown_names(source) == {"torch"}
