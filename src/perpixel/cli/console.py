"""The two streams of the command. Nothing that is printed is read as markup: paths may hold [ ]."""

from __future__ import annotations

from rich.console import Console

OUT = Console(markup=False, highlight=False, emoji=False)
ERR = Console(markup=False, highlight=False, emoji=False, stderr=True)


def fail(message: str) -> None:
    """Say on stderr, in one line however narrow the terminal, what is wrong."""
    ERR.print(message, style="red", soft_wrap=True)
