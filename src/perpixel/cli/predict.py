"""`perpixel predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from perpixel.cli.console import OUT, fail
from perpixel.cli.model_argument import AnyModel
from perpixel.cli.ray_option import (
    Ray,
    WorkerCpus,
    WorkerGpus,
    WorkersOption,
    refuse_without_ray,
    workers_of,
)
from perpixel.cli.runtime_options import PrecisionOption, RuntimeOption
from perpixel.cli.tile_options import Halo, Memory, Tile, tiling_of

SOME_FAILED, NOTHING_USABLE = 1, 2
FOLDER = "predicted"


def predict(
    model: AnyModel,
    paths: Annotated[
        list[str], typer.Argument(help="Images, folders of images, patterns such as 'p/*.jpg'.")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            help=f"The folder to write masks into; without it {FOLDER}, with overlays of all "
            "but rasters and large images.",
            metavar="DIRECTORY",
            show_default=False,
        ),
    ] = None,
    mask_format: Annotated[
        Literal["png", "geotiff", "coco", "labelme"],
        typer.Option(
            "--format", help="Masks as pictures, on the map, or as files for labelling tools."
        ),
    ] = "png",
    overlay: Annotated[
        bool | None,
        typer.Option(
            "--overlay/--no-overlay",
            help="Also a picture with a legend: NAME_overlay.jpg.",
            show_default=False,
        ),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Also (classes, height, width) arrays: NAME.npy."),
    ] = False,
    areas: Annotated[
        Path | None,
        typer.Option(help="Also a CSV file: each class's share of each image.", metavar="FILE"),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Pixels that are less sure are left unlabelled."),
    ] = 0.0,
    scales: Annotated[
        list[float] | None,
        typer.Option(help="Average the predictions at these sizes.", metavar="S S …"),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirrored image's prediction.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Also draw each overlay in the terminal.")
    ] = False,
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    tile: Tile = "auto",
    memory: Memory = None,
    halo: Halo = None,
    ray: Ray = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
) -> None:
    """Write a mask for each image, at its own size.

    A mask is a palette PNG of class indices; or regions in one JSON file of
    COCO's form, or polygons in a JSON file of labelme's for each image, which
    can be corrected in labelling tools and trained on again. An image that cannot be read is
    reported and the others are done; the exit status is then 1. What is fastest
    on this machine computes it, and is named.

    GeoTIFFs and other rasters are read by windows and keep their place on the
    map. An image that does not fit into the memory is predicted in tiles, which
    give the mask of the whole image; what is interrupted goes on where it
    stopped when the same command is given again.

    With --ray many machines share the images, which may be in object stores
    (s3://bucket/folder), as the masks may; a Parquet manifest has a row for each
    image. What was interrupted goes on.

    Example: perpixel predict runs/a/model.safetensors new --out masks
    """
    from perpixel.cli.large_progress import predicting
    from perpixel.cli.tables import area_table
    from perpixel.cli.terminal import draw
    from perpixel.inference.folder import predict_folder
    from perpixel.inference.inputs import pixels_if_alone
    from perpixel.inference.predictor import load
    from perpixel.inference.results import Results

    if ray is not None:
        from perpixel.cli.predict_on_ray import predict_on_ray
        from perpixel.delivery.cluster.job import Job, check_result_kinds

        unwanted = {
            f"--format {mask_format}": mask_format != "png",
            "--overlay": bool(overlay),
            "--probabilities": probabilities,
            "--areas": areas is not None,
            "--show": show,
        }
        check_result_kinds([option for option, is_given in unwanted.items() if is_given])
        given = tiling_of(tile, memory, halo)
        job = Job(
            runtime=runtime,
            precision=precision,
            scales=tuple(scales or (1.0,)),
            flip=flip,
            min_confidence=min_confidence,
            tile=given.tile,
            halo=given.halo,
        )
        predict_on_ray(
            model,
            paths,
            out or FOLDER,
            ray,
            workers_of(workers, worker_cpus, worker_gpus, memory),
            job,
        )
        return
    refuse_without_ray(workers, worker_cpus, worker_gpus)
    # An overlay that nobody asked for must not change a mask, nor refuse one.
    implied = overlay is None and out is None
    out = out or FOLDER
    results = Results(
        mask_format,
        "jpg" if overlay or implied else None,
        probabilities,
        areas,
        min_confidence,
        overlay_gives_way=implied,
    )
    tiling = tiling_of(tile, memory, halo)
    pixels = pixels_if_alone(paths, Path(out))
    loaded = load(model, runtime=runtime, precision=precision, pixels=pixels)
    OUT.print(f"computed by {loaded.choice}", soft_wrap=True)
    with predicting() as (progress, watch):
        summary = predict_folder(
            loaded,
            paths,
            Path(out),
            results=results,
            scales=tuple(scales or (1.0,)),
            flip=flip,
            tiling=tiling,
            progress=progress,
            watch=watch,
            show=draw if show else None,
        )
    for prediction in summary.large:
        if prediction.approximate is not None:
            OUT.print(
                f"{prediction.path}: tiles are approximate: {prediction.approximate}",
                soft_wrap=True,
            )
        if prediction.disagreement is not None:
            measured = prediction.disagreement
            share = f"{100 * measured.share:.3f} % of the pixels differ from exact tiles"
            OUT.print(f"{share} (measured on {measured.tiles} tiles)", soft_wrap=True)
        if prediction.taken_up:
            went_on = f"went on from {prediction.taken_up} of {prediction.tiles} tiles"
            OUT.print(f"{prediction.path}: {went_on}", soft_wrap=True)
        if areas is not None:
            OUT.print(area_table(prediction.areas, str(prediction.path)))
    for _, reason in summary.failed:
        fail(reason)
    if not summary.done:
        raise typer.Exit(NOTHING_USABLE)
    images = len(summary.done) + len(summary.failed)
    if implied and summary.large:
        why = "predicted in tiles, as rasters and large images are"
        without = f"without an overlay: {len(summary.large)} of {images} images, {why}"
        OUT.print(without, soft_wrap=True)
    OUT.print(f"wrote {len(summary.done)} of {images} masks into {out}", soft_wrap=True)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)
