"""What mkdocs adds to the pages as they are in this folder: the pictures and pages that
`prepare.py` left in build/docs, and the reference of the commands from their own help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer.main
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from perpixel.cli.app import app

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

# What a browser would fetch by itself. Links that a reader may follow are none of them.
OUTSIDE = re.compile(r"""<(?!a\b)\w+[^>]*\s(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
MADE = Path(__file__).resolve().parents[1] / "build" / "docs"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what was made; a picture that is missing is a broken link, and mkdocs' own error."""
    for made in sorted((MADE / "pictures").rglob("*")):
        if made.is_file():
            name = made.relative_to(MADE).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(made)))
    reference = File.generated(config, "reference/commands.md", content=commands())
    files.append(reference)
    return files


def commands() -> str:
    """Every command and option, as `--help` has them."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="perpixel")
    text = get_docs_for_click(obj=group, ctx=context, name="perpixel")
    return text.replace("# `perpixel`", "# Commands", 1).replace("Example: ", "Example:\n\n    ")


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site whose pages would fetch anything from elsewhere."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        found = OUTSIDE.search(page.read_text(encoding="utf-8"))
        if found:
            raise PluginError(f"{page} would fetch {found[1]}")
