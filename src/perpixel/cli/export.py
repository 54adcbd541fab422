"""`perpixel export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from perpixel.cli.console import OUT
from perpixel.cli.dataset_options import Layout
from perpixel.cli.model_argument import TrainedModel
from perpixel.errors import ConfigError


def export(
    model: TrainedModel,
    to: Annotated[
        Literal["onnx", "openvino", "openvino-int8", "torch", "half"],
        typer.Option("--to", help="For which runtime; half: a model file of half the size."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: .onnx, .xml (OpenVINO), .pt2 (torch) or .safetensors (half)."
        ),
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
        int | None,
        typer.Option(min=1, help="For int8: on how many images ranges are measured (300)."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0.0, help="For int8: points of mean IoU that may be lost (0.5)."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="For half: of the weights, written into the file.", metavar="TEXT"),
    ] = None,
) -> None:
    """Write a model for another runtime, or for others.

    The file takes any number of images of any size, carries its classes and
    preprocessing, and works wherever a model file does. Before it is
    written it is compared with torch on three images of odd sizes; one that
    differs is not written. `--to half` writes a model file as any other, whose
    weights are rounded to float16 and which says nothing of this machine's folders.

    Example: perpixel export runs/a/model.safetensors --to openvino --out a.xml
    """
    from perpixel.cli.progress import stages
    from perpixel.delivery.export import export_model, read_images
    from perpixel.delivery.half import write_half
    from perpixel.delivery.int8 import Calibration
    from perpixel.distribution.model_file import model_file
    from perpixel.inference.inputs import expand

    int8 = {"--calibrate": calibrate, "--samples": samples, "--max-drop": max_drop}
    _check_target(to, {"--full": full or None, "--licence": licence, "--layout": layout, **int8})
    calibration, shown = None, [one.path for one in expand(images, out)] if images else []
    if calibrate is not None:
        from perpixel.data.layouts import open_dataset

        dataset = open_dataset(calibrate, layout)
        drop = Calibration.max_drop if max_drop is None else max_drop
        calibration = Calibration(dataset, samples or Calibration.images, drop)
        shown = shown or [pair.image for pair in dataset.split("val")]
    file = model_file(model)
    if to == "half":
        for line in write_half(file, out, licence=licence or "", images=read_images(shown)):
            OUT.print(str(line), soft_wrap=True)
        OUT.print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
        return
    with stages() as watch:
        written = export_model(
            file,
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


def _check_target(to: str, options: dict[str, object]) -> None:
    """Options that say nothing of this target."""
    runtimes = ("onnx", "openvino", "openvino-int8", "torch")
    of = {"--full": runtimes, "--licence": ("half",)}
    for name, value in options.items():
        targets = of.get(name, ("openvino-int8",))
        if value is not None and to not in targets:
            raise ConfigError(name, found=f"given beside --to {to}", mend="Leave it out")
