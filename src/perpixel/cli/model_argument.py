"""The MODEL of every command that takes one: a file, one that comes along, or one of the hub's."""

from __future__ import annotations

from typing import Annotated

import typer

MODEL = "A model file, the name of one that comes along, or hf://owner/name"
# Texts and no paths: `./street` is a file, `street` a name.
AnyModel = Annotated[str, typer.Argument(help=f"{MODEL}; or an export.")]
TrainedModel = Annotated[str, typer.Argument(help=f"{MODEL}.")]
