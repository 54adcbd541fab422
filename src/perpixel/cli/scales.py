"""`--scales 0.75 1 1.25`: an option of any length, which command-line parsers have no kind for."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


class ManyScales(TyperCommand):
    """Lets one `--scales` take as many numbers as follow it, by repeating the option for each."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, repeated(args))


def repeated(args: list[str]) -> list[str]:
    """`--scales 1 2 A` as `--scales 1 --scales 2 A`; anything else as it is."""
    spread: list[str] = []
    following = False
    for arg in args:
        following = arg == "--scales" or (following and bool(_NUMBER.fullmatch(arg)))
        if following and arg != "--scales" and spread[-1] != "--scales":
            spread.append("--scales")
        spread.append(arg)
    return spread
