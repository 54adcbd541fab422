"""`perpixel export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from perpixel.cli.console import OUT
from perpixel.cli.dataset_options import Layout


def export(
    model: Annotated[Path, typer.Argument(help="A model file, as `perpixel train` writes.")],
    to: Annotated[
        Literal["onnx", "openvino", "openvino-int8", "torch"],
        typer.Option("--to", help="For which runtime."),
    ],
    out: Annotated[
        Path, typer.Option(help="The file to write: .onnx, .xml (OpenVINO) or .pt2 (torch).")
    ],
    full: Annotated[
        bool,
        typer.Option("--full", help="From a uint8 image to its mask, for users without perpixel."),
    ] = False,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Images to check the file on, instead of drawn scenes.", metavar="PATH"),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="For int8: a dataset with the splits train and val.", metavar="DATA"),
    ] = None,
    layout: Layout = None,
    samples: Annotated[
        int, typer.Option(min=1, help="For int8: on how many images ranges are measured.")
    ] = 300,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="For int8: points of mean IoU that may be lost.")
    ] = 0.5,
) -> None:
    """Write a model for another runtime.

    The file takes any number of images of any size, carries its classes and
    preprocessing, and works wherever a model file does. Before it is
    written it is compared with torch on three images of odd sizes; one that
    differs is not written.

    Example: perpixel export runs/a/model.safetensors --to openvino --out a.xml
    """
    from perpixel.cli.progress import stages
    from perpixel.delivery.export import export_model, read_images
    from perpixel.delivery.int8 import Calibration
    from perpixel.inference.inputs import expand

    calibration, shown = None, [one.path for one in expand(images, out)] if images else []
    if calibrate is not None:
        from perpixel.data.layouts import open_dataset

        dataset = open_dataset(calibrate, layout)
        calibration = Calibration(dataset, samples, max_drop)
        shown = shown or [pair.image for pair in dataset.split("val")]
    with stages() as watch:
        written = export_model(
            model,
            to,
            out,
            images=read_images(shown),
            full=full,
            calibration=calibration,
            progress=lambda what: watch(what, 0, None),
        )
    for line in written.agreement:
        OUT.print(str(line), soft_wrap=True)
    if written.int8 is not None:
        OUT.print(str(written.int8), soft_wrap=True)
    made_by = ", ".join(f"{name} {number}" for name, number in written.card.versions.items())
    OUT.print(f"wrote {out} ({made_by})", soft_wrap=True)
