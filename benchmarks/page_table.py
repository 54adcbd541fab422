"""A table that a benchmark keeps up to date in a page written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perpixel.whole_file import write_whole


def with_table(page: str, name: str, table: str) -> str:
    """The page with the table between its two marks.

    Args:
        page: Markdown, with `<!-- table: NAME -->` and `<!-- end -->` in lines of their own.
        name: what the first mark says.
        table: in Markdown.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no {begin.strip()} with an {end} after it")
    return f"{before}{begin}{table}\n{end}{after}"


def write_table(page: Path, name: str, table: str) -> None:
    """Put the table into the page's file; see `with_table`."""
    text = with_table(page.read_text(encoding="utf-8"), name, table)
    write_whole(page, text.encode())


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text, and the others figures."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
