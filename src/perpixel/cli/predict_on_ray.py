"""`perpixel predict --ray`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from perpixel.cli.console import OUT, fail
from perpixel.cli.large_progress import predicting
from perpixel.cli.ray_option import ANY

if TYPE_CHECKING:
    from perpixel.delivery.cluster.job import Job
    from perpixel.delivery.cluster.run import Workers

SOME_FAILED, NOTHING_USABLE = 1, 2
# More reasons are for the manifest: of a million images ten thousand may fail.
SHOWN = 10


def predict_on_ray(
    model: str, paths: list[str], out: str, ray: str, workers: Workers, job: Job
) -> None:
    """Predict, and say what became of the images."""
    from perpixel.delivery.cluster.run import predict_on_cluster

    with predicting() as (progress, _):
        summary = predict_on_cluster(
            model,
            paths,
            out,
            address=None if ray == ANY else ray,
            workers=workers,
            job=job,
            progress=progress,
        )
    for reason in summary.failed[:SHOWN]:
        fail(reason)
    if len(summary.failed) > SHOWN:
        fail(f"and {len(summary.failed) - SHOWN} more: see the manifest")
    done = summary.images - len(summary.failed)
    OUT.print(f"computed by {summary.computed_by}", soft_wrap=True)
    before = f"; {summary.kept} images were done before" if summary.kept else ""
    rows = f"; {summary.rebuilt} rows were made from masks" if summary.rebuilt else ""
    told = f"{done} of {summary.images} masks and manifest.parquet are in {out}"
    OUT.print(f"{told}{before}{rows}", soft_wrap=True)
    if not done:
        raise typer.Exit(NOTHING_USABLE)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)
