"""`perpixel push`."""

from __future__ import annotations

from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.model_argument import TrainedModel


def push(
    model: TrainedModel,
    repository: Annotated[
        str, typer.Argument(help="Where on the model hub: owner/name. It is made if need be.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Where it is made: for its owner alone.")
    ] = False,
    licence: Annotated[
        str, typer.Option(help="Of the weights, written into the model.", metavar="TEXT")
    ] = "",
) -> None:
    """Upload a model to the model hub.

    The model file, a card with its classes, scores and settings (README.md),
    and the files' SHA-256, in one commit. It is then hf://owner/name wherever
    a command takes a model. Log in before with `hf auth login`, or set
    HF_TOKEN. HF_ENDPOINT names another hub than the public one.

    Example: perpixel push runs/a/model.safetensors somebody/streets --private
    """
    from perpixel.distribution.model_file import model_file
    from perpixel.distribution.push import push as push_model

    pushed = push_model(model_file(model), repository, private=private, licence=licence)
    OUT.print(f"SHA-256 {pushed.sha256}, {pushed.size / 1e6:.1f} MB", soft_wrap=True)
    OUT.print(f"pushed {pushed.address}: {pushed.page}", soft_wrap=True)
