"""`perpixel import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perpixel.cli.console import OUT
from perpixel.errors import ConfigError, OutputError


def import_weights(
    weights: Annotated[Path, typer.Argument(help="A .pth or .safetensors file of tensors.")],
    network: Annotated[str, typer.Option(help="The architecture that the weights are of.")],
    classes: Annotated[
        str,
        typer.Option(help="How many classes there are, or a classes.yaml.", metavar="N|FILE"),
    ],
    out: Annotated[Path, typer.Option(help="The model file to write.", metavar="MODEL")],
    backbone: Annotated[
        str | None, typer.Option(help="For architectures that stand on any backbone: which.")
    ] = None,
    upsampling: Annotated[
        str | None, typer.Option(help="For fcn*-vgg16: fixed, learned-inner or learned.")
    ] = None,
    fc6: Annotated[str | None, typer.Option(help="For fcn*-vgg16: 7x7 or 1x1.")] = None,
) -> None:
    """Make a model of weights that were trained elsewhere.

    torchvision's fcn_resnet50, fcn_resnet101, deeplabv3_resnet50,
    deeplabv3_resnet101 and deeplabv3_mobilenet_v3_large; the paper's
    fcn32s-vgg16, fcn16s-vgg16, fcn8s-vgg16 and fcn8s-vgg16-at-once under
    Caffe's names; or, for any network, its backbone as timm or torchvision
    has it: such a model is a start for `perpixel train --init-from`.

    Example: perpixel import fcn.pth --network fcn_resnet50 --classes 21 --out fcn.safetensors
    """
    import os
    from importlib.metadata import version

    from perpixel.checkpoint import Checkpoint, write_checkpoint
    from perpixel.labels import LabelSpace
    from perpixel.networks import build, foreign
    from perpixel.training.network_options import NetworkOptions

    if os.path.realpath(out) == os.path.realpath(weights):
        raise OutputError(out, found="the weights themselves", mend="Give the model another name")
    if classes.isdecimal():
        if not 1 <= int(classes) <= 65_535:
            raise ConfigError(
                "--classes", found=classes, expected="1 to 65535", mend="Give their number"
            )
        labels = LabelSpace.of([f"class {index}" for index in range(int(classes))])
    else:
        labels = LabelSpace.read(Path(classes))
    options = NetworkOptions.of(network=network, backbone=backbone, upsampling=upsampling, fc6=fc6)
    config = options.network_config(labels.classes, 3)
    built = build(config)
    line, preprocessing = foreign.import_weights(built, weights)
    provenance = {"perpixel": version("perpixel"), "imported": str(weights)}
    write_checkpoint(out, Checkpoint(config, labels, preprocessing, built.state_dict(), provenance))
    OUT.print(line, soft_wrap=True)
    OUT.print(f"wrote {out}", soft_wrap=True)
