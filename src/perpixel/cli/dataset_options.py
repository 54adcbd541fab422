"""The options of every command that opens a dataset."""

from __future__ import annotations

from typing import Annotated

import typer

# The layouts are not imported here, which takes time; a test compares this text with them.
LAYOUTS = (
    "huggingface, cityscapes, ade20k, voc, sbd, coco, camvid, camvid11, lists, class-masks, "
    "folders, flat, table, labelme"
)

Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help=f"How the files are arranged, where it is not recognised: {LAYOUTS}.",
        metavar="NAME",
        show_default=False,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        help="Divide images without splits into so many parts, of which one validates.",
        show_default=False,
    ),
]
Fold = Annotated[
    int | None,
    typer.Option("--fold", help="Which part validates, from 1.", show_default=False),
]
