"""`--ray [ADDRESS]`, whose value may be left out, and the options of workers on a cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perpixel.cli.scales import ManyScales
from perpixel.errors import ConfigError

if TYPE_CHECKING:
    from perpixel.delivery.cluster.run import Workers

WORKERS = "Workers on a cluster"
# What `--ray` without an address stands for: a cluster that runs already, else one on this machine.
ANY = "any"
_ADDRESS = re.compile(rf"{ANY}|local|auto|ray://\S+|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")

Ray = Annotated[
    str | None,
    typer.Option(
        help="Predict on a Ray cluster, from and into folders and object stores: the cluster at "
        "this address; auto: the one that runs here; local: one of its own on this machine.",
        metavar="[ADDRESS]",
        rich_help_panel=WORKERS,
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        help="How many; with two numbers Ray decides between them.",
        metavar="N|MIN:MAX",
        rich_help_panel=WORKERS,
    ),
]
WorkerCpus = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of each worker.", rich_help_panel=WORKERS),
]
WorkerGpus = Annotated[
    float | None,
    typer.Option(
        min=0, help="GPUs of each worker; 0.25 puts four on one GPU.", rich_help_panel=WORKERS
    ),
]


class Predicting(ManyScales):
    """Lets `--ray` stand without an address, wherever it is in the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, addressed(args))


def addressed(args: list[str]) -> list[str]:
    """`--ray A` as `--ray any A` where A is no address of a cluster; anything else as it is."""
    spread: list[str] = []
    for place, arg in enumerate(args):
        spread.append(arg)
        if arg == "--ray" and not _ADDRESS.fullmatch("".join(args[place + 1 : place + 2])):
            spread.append(ANY)
    return spread


def workers_of(
    workers: str | None, cpus: int | None, gpus: float | None, memory: str | None
) -> Workers:
    """What the options say.

    Raises:
        ConfigError: one makes no sense.
    """
    from perpixel.delivery.cluster.run import Workers

    least, most = 1, None
    if workers is not None:
        found = re.fullmatch(r"(\d+)(?::(\d+))?", workers)
        least = int(found[1]) if found else 0
        most = int(found[2] or found[1]) if found else 0
        if not 1 <= least <= most:
            raise ConfigError(
                "--workers",
                found=repr(workers),
                expected="a number from 1 up, or two such as 2:16",
                mend="Leave it out, or say how many",
            )
    return Workers(least, most, cpus or 1, gpus, memory)


def refuse_without_ray(workers: str | None, cpus: int | None, gpus: float | None) -> None:
    """See that no worker is spoken of where there is none.

    Raises:
        ConfigError: one is.
    """
    given = {"--workers": workers, "--worker-cpus": cpus, "--worker-gpus": gpus}
    for option, value in given.items():
        if value is not None:
            mend = "Add --ray, or leave it out"
            raise ConfigError(option, found="given without --ray", mend=mend)
