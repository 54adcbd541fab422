"""The command itself: its subcommands, and what becomes of errors.

Exit status 0: done. 1: some images failed, the others are done. 2: wrong input. Of `check` 1:
warnings, 2: errors. 130: Ctrl-C. 143: SIGTERM in a training, whose state is saved.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from perpixel.cli.bench import bench
from perpixel.cli.check import check
from perpixel.cli.compare import compare
from perpixel.cli.console import OUT, fail
from perpixel.cli.demo import demo
from perpixel.cli.evaluate import evaluate
from perpixel.cli.explain import explain
from perpixel.cli.export import export
from perpixel.cli.heatmap import heatmap
from perpixel.cli.import_weights import import_weights
from perpixel.cli.inspect import inspect
from perpixel.cli.plan import plan
from perpixel.cli.predict import predict
from perpixel.cli.push import push
from perpixel.cli.ray_option import Predicting
from perpixel.cli.report import report
from perpixel.cli.runs import runs
from perpixel.cli.scales import ManyScales
from perpixel.cli.serve import serve
from perpixel.cli.train import train
from perpixel.errors import PerpixelError, Stopped

WRONG_INPUT, INTERRUPTED = 2, 130


class _Perpixel(TyperGroup):
    """Turns wrong input and Ctrl-C into a line and an exit status; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PerpixelError as error:
            fail(str(error))
            raise typer.Exit(WRONG_INPUT) from None
        except Stopped as stopped:
            fail(str(stopped))
            raise typer.Exit(128 + stopped.signal) from None
        except KeyboardInterrupt:
            fail("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Perpixel, name="perpixel", no_args_is_help=True, pretty_exceptions_enable=False
)
app.command()(plan)
app.command()(train)
app.command(cls=ManyScales)(evaluate)
app.command(cls=Predicting)(predict)
app.command()(explain)
app.command()(heatmap)
app.command(name="import")(import_weights)
app.command()(export)
app.command()(push)
app.command()(check)
app.command()(inspect)
app.command()(bench)
app.command()(report)
app.command()(compare)
app.command()(runs)
app.command()(serve)
app.command()(demo)


def _print_version(asked: bool) -> bool:
    if asked:
        from importlib.metadata import version

        OUT.print(f"perpixel {version('perpixel')}")
        raise typer.Exit
    return asked


@app.callback()
def perpixel(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Semantic segmentation with fully convolutional networks.

    Learns from a folder of images and masks, and predicts a class for every pixel of any image.

    Without data of your own, begin with `perpixel demo`.
    """


def main() -> None:
    """The console script."""
    # Names of files may hold bytes that are no text, and a terminal may lack letters.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
