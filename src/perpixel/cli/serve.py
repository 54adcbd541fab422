"""`perpixel serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.cli.model_argument import AnyModel
from perpixel.cli.runtime_options import PrecisionOption, RuntimeOption

if TYPE_CHECKING:
    from perpixel.inference.predictor import Model


def serve(
    model: AnyModel,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 8000,
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    token_file: Annotated[
        Path | None,
        typer.Option(help="Ask for the token in this file; else PERPIXEL_TOKEN.", metavar="FILE"),
    ] = None,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests that wait at most; the next is told to come back.")
    ] = 128,
    batch: Annotated[
        int, typer.Option(min=1, help="Images of one size computed together, at most.")
    ] = 8,
    seconds: Annotated[
        float, typer.Option(help="A request that is not answered by then is given up.")
    ] = 30.0,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Of an image file.")] = 32,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Of an image, height times width.")
    ] = 50_000_000,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="Another site whose pages may ask; repeatable.", metavar="ORIGIN"),
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Only the API, no page at /.")] = False,
) -> None:
    """Answer images with masks over HTTP.

    POST an image to /v1/segment: the answer is the mask `perpixel predict`
    would write, or COCO's JSON, a NumPy array or an overlay, as Accept asks.
    Images of one size that wait together are computed together. SIGTERM and
    Ctrl-C finish what was taken. Only this machine is listened to, unless
    --host says otherwise; then give a token.

    Example: perpixel serve runs/a/model.safetensors --port 8000
    """
    from perpixel.delivery.server.packages import check_packages

    check_packages()

    from perpixel.delivery.server.running import serve as serve_model
    from perpixel.delivery.server.settings import Settings, read_token

    token = read_token(token_file)
    settings = Settings(
        queue=queue,
        batch=batch,
        seconds=seconds,
        max_bytes=max_megabytes * 1_000_000,
        max_pixels=max_pixels,
        token=token,
        origins=tuple(cors or ()),
    )

    def ready(loaded: Model, address: str) -> None:
        OUT.print(f"computed by {loaded.choice}", soft_wrap=True)
        asked = "with the token" if token else "without a token"
        OUT.print(f"serving at {address}, {asked}; Ctrl-C stops", soft_wrap=True)

    serve_model(
        model,
        settings,
        host=host,
        port=port,
        runtime=runtime,
        precision=precision,
        page=not no_page,
        ready=ready,
    )
