"""The options of commands that predict images of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perpixel.errors import ConfigError

if TYPE_CHECKING:
    from perpixel.inference.tiles.tile_size import Tiling

Tile = Annotated[
    str,
    typer.Option(
        help="Cut images into tiles of so many pixels; auto: those that do not fit into the "
        "memory; none: predict all images whole.",
        metavar="none|auto|PIXELS",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(help="What the process may hold, such as 2G; else what is free.", metavar="SIZE"),
]
Halo = Annotated[
    str | None,
    typer.Option(
        help="Show a tile at most so many pixels around it: faster, and approximate; auto: as "
        "many as matter to this model on this image.",
        metavar="auto|PIXELS",
    ),
]


def tiling_of(tile: str, memory: str | None, halo: str | None) -> Tiling:
    """What the options say.

    Raises:
        ConfigError: one makes no sense.
    """
    from perpixel.inference.tiles.tile_size import Tiling

    around = _halo(halo)
    match tile:
        case "none" | "auto":
            return Tiling(tile, memory, around)
        case _ if tile.isdecimal():
            return Tiling(int(tile), memory, around)
        case _:
            raise ConfigError(
                "--tile",
                found=f"{tile!r}",
                expected="none, auto, or a number of pixels",
                mend="Leave it out, or say such as --tile 2048",
            )


def _halo(halo: str | None) -> Literal["auto"] | int | None:
    match halo:
        case None | "auto":
            return halo
        case _ if halo.removeprefix("-").isdecimal():
            return int(halo)
        case _:
            raise ConfigError(
                "--halo",
                found=f"{halo!r}",
                expected="auto, or a number of pixels",
                mend="Leave it out, and tiles are exact, or say such as --halo 192",
            )
