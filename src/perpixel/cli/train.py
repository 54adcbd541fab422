"""`perpixel train`."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from perpixel.cli.console import OUT
from perpixel.cli.dataset_options import Fold, Folds, Layout
from perpixel.errors import ConfigError

# What `TrainConfig` and `Augmentation` hold is not imported here (torch takes seconds); a test
# compares these texts with them.
NETWORKS = (
    "fcn32s, fcn16s, fcn8s, fcn4s, fcn32s-vgg16, fcn16s-vgg16, fcn8s-vgg16, fcn8s-vgg16-at-once, "
    "fcn-decoder, segnet, segnet-basic, unet, unet-padded, deeplabv3, deeplabv3plus, "
    "fcn_resnet50, fcn_resnet101, deeplabv3_resnet50, deeplabv3_resnet101, "
    "deeplabv3_mobilenet_v3_large"
)
FREE = {"workers", "save_minutes"}
DEFAULTS = {
    "weights": "pretrained",
    "optimizer": "adamw",
    "schedule": "one-cycle",
    "seed": "0",
    "workers": "1",
    "precision": "auto",
    "accumulate": "1",
    "batch_norm": "auto",
    "on_nan": "stop",
    "save_minutes": "5.0",
    "recompute": "False",
    "compile": "False",
    "tracker": "auto",
    "loss": "mean",
    "normalisation": "auto",
    "conversion": "auto",
    "dice": "0.0",
    "hard_pixels": "1.0",
    "ema": "0.998",
    "rotation": "0.0",
    "scale": "0.75 2.0",
}
# What `training.choices` decides where nothing is given. (Normalisation, too: by its name, auto.)
FROM_DATA = ("network", "head", "crop", "batch_size", "epochs", "class_weights", "balance")


def _option(name: str, text: str, **more: Any) -> Any:
    flag = "--" + name.replace("_", "-")
    default = "from the data" if name in FROM_DATA else DEFAULTS.get(name)
    return typer.Option(flag, help=text, show_default=default or False, **more)


def _crop(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH, for example 352x480")
    return int(match[1]), int(match[2])


def train(
    data: Annotated[
        Path | None, typer.Argument(help="The dataset folder.", show_default=False)
    ] = None,
    out: Annotated[Path | None, _option("out", "The run folder to make.")] = None,
    layout: Layout = None,
    folds: Folds = None,
    fold: Fold = None,
    epochs: Annotated[int | None, _option("epochs", "Passes over the training images.")] = None,
    minutes: Annotated[
        float | None, _option("minutes", "Instead: a wall-clock budget to fit into.")
    ] = None,
    config_file: Annotated[
        Path | None,
        _option("config", "A recipe: a YAML file of settings; options given here go first."),
    ] = None,
    network: Annotated[
        str | None,
        _option("network", f"The architecture: {NETWORKS}.", metavar="NAME"),
    ] = None,
    backbone: Annotated[
        str | None,
        _option("backbone", "What it stands on: efficientnet_lite0 or any timm feature pyramid."),
    ] = None,
    weights: Annotated[
        str | None,
        _option("weights", "What the backbone starts from: pretrained, none, or a file."),
    ] = None,
    head: Annotated[
        Literal["scores", "features"] | None,
        _option("head", "fcn32s…4s: skips add up class scores (the paper) or features."),
    ] = None,
    head_channels: Annotated[
        int | None,
        _option("head_channels", "fcn32s…4s, deeplab*: channels of the head's features."),
    ] = None,
    separable: Annotated[
        bool | None,
        _option("separable", "deeplabv3, deeplabv3plus: depthwise-separable convolutions."),
    ] = None,
    global_context: Annotated[
        bool | None,
        _option("global_context", "fcn32s…4s: add the deepest features of the whole image."),
    ] = None,
    fc6: Annotated[
        Literal["7x7", "1x1"] | None,
        _option("fc6", "fcn*-vgg16: the paper's 7x7 (default), or 1x1 without its padding."),
    ] = None,
    upsampling: Annotated[
        Literal["fixed", "learned-inner", "learned"] | None,
        _option("upsampling", "fcn*-vgg16: which transposed convolutions are trained."),
    ] = None,
    skip: Annotated[
        Literal["concatenate", "sum"] | None,
        _option("skip", "unet, unet-padded: how skips are joined."),
    ] = None,
    output_stride: Annotated[
        int | None, _option("output_stride", "deeplabv3, deeplabv3plus: 16 (default) or 8.")
    ] = None,
    batch_size: Annotated[int | None, _option("batch_size", "Images in a step.")] = None,
    crop: Annotated[
        Any,
        _option(
            "crop",
            "What a step sees of an image.",
            metavar="HxW",
            parser=_crop,
        ),
    ] = None,
    lr: Annotated[
        float | None, _option("lr", "Peak learning rate; by default the optimizer's own.")
    ] = None,
    optimizer: Annotated[
        Literal["adamw", "sgd"] | None, _option("optimizer", "SGD has momentum.")
    ] = None,
    schedule: Annotated[
        Literal["one-cycle", "poly", "constant"] | None,
        _option("schedule", "How the learning rate runs."),
    ] = None,
    loss: Annotated[
        Literal["mean", "sum"] | None, _option("loss", "Over a batch's labelled pixels.")
    ] = None,
    seed: Annotated[int | None, _option("seed", "Every random draw follows from it.")] = None,
    workers: Annotated[
        int | None, _option("workers", "Processes that load images; no result depends on it.")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        _option("precision", "auto measures whether bf16 is faster here; fp16 is scaled."),
    ] = None,
    clip: Annotated[
        float | None, _option("clip", "Largest norm of a step's gradient; by default any.")
    ] = None,
    accumulate: Annotated[
        int | None,
        _option("accumulate", "Parts that a batch goes through the network in: saves memory."),
    ] = None,
    batch_norm: Annotated[
        Literal["auto", "own", "synchronised", "frozen"] | None,
        _option("batch_norm", "Whose statistics batch norms use with several processes."),
    ] = None,
    recompute: Annotated[
        bool | None,
        _option("recompute", "Compute activations again instead of keeping them: saves memory."),
    ] = None,
    compile: Annotated[
        bool | None, _option("compile", "Let torch.compile make one program of the network.")
    ] = None,
    on_nan: Annotated[
        Literal["stop", "skip"] | None,
        _option("on_nan", "What to do with a batch whose loss is no number."),
    ] = None,
    save_minutes: Annotated[
        float | None, _option("save_minutes", "How often the state is saved within a pass.")
    ] = None,
    tracker: Annotated[
        Literal["auto", "none", "tensorboard", "mlflow", "wandb"] | None,
        _option("tracker", "Where curves also go; auto is TensorBoard, where it is installed."),
    ] = None,
    auto_resume: Annotated[
        bool, _option("auto_resume", "Go on with the run in --out if there is one, else begin it.")
    ] = False,
    init_from: Annotated[
        str | None,
        _option("init_from", "A MODEL to go on from: its network and fitting weights."),
    ] = None,
    resume: Annotated[
        Path | None, _option("resume", "Go on with this run folder, as it was begun.")
    ] = None,
    class_weights: Annotated[
        Literal["inverse-log", "effective-number", "none"] | None,
        _option("class_weights", "How much more is learned from rare classes' pixels."),
    ] = None,
    normalisation: Annotated[
        Literal["auto", "weights", "data"] | None,
        _option("normalisation", "Bands' mean and deviation: as the weights' or the data's."),
    ] = None,
    conversion: Annotated[
        Literal["auto", "grey-rgb", "none"] | None,
        _option("conversion", "Whether grey and RGB images are turned into each other."),
    ] = None,
    dice: Annotated[
        float | None, _option("dice", "Weight of a soft Dice loss beside the cross-entropy.")
    ] = None,
    hard_pixels: Annotated[
        float | None,
        _option("hard_pixels", "Share of a batch's pixels to learn from, the hardest; 1 is all."),
    ] = None,
    balance: Annotated[
        float | None,
        _option("balance", "Share of the samples drawn by class, cropped around it; 0 is none."),
    ] = None,
    ema: Annotated[
        float | None, _option("ema", "Decay of the averaged weights; 0 turns averaging off.")
    ] = None,
    rotation: Annotated[
        float | None, _option("rotation", "Largest random angle, in degrees.")
    ] = None,
    scale: Annotated[
        tuple[float, float] | None,
        _option("scale", "Range of the random magnification.", metavar="LOW HIGH"),
    ] = None,
) -> None:
    """Train a network on a folder of images and masks.

    Options whose default is from the data are chosen for the dataset and this
    machine: `perpixel plan DATA` shows what would be taken, and why.

    Leaves the model that is best on the validation split in
    RUN/model.safetensors, and its curves beside it. Whatever ends the run
    before that, Ctrl-C or a lost machine: --resume goes on with it.

    Example: perpixel train photographs --out runs/a --minutes 45
    """
    apart = ("data", "out", "resume", "config_file", "auto_resume")
    given = {
        name: value
        for name, value in locals().items()
        if value is not None and name not in (*apart, "apart")
    }
    if resume is not None:
        from perpixel.training import files

        if (data, out, config_file) != (None, None, None) or auto_resume or given.keys() - FREE:
            raise ConfigError(
                "--resume",
                found="other settings beside it",
                expected="the run folder, whose config.yaml holds the settings; beside it at most "
                "--workers and --save-minutes",
                mend=f"Run `{files.resuming(resume)}`",
            )
    elif data is None or out is None:
        missing = "DATA" if data is None else "--out"
        raise ConfigError(
            missing,
            found="not given",
            expected="a dataset folder and a run folder to make",
            mend="Run `perpixel train DATA --out RUN`, or go on with `perpixel train --resume RUN`",
        )

    from perpixel import training
    from perpixel.cli.progress import TrainingDisplay

    # Of several processes that torchrun started the first one speaks.
    speaks = os.environ.get("RANK", "0") == "0"
    with TrainingDisplay() if speaks else nullcontext(training.Silence()) as display:
        if resume is not None:
            result = training.resume(resume, display, **given)
        else:
            recipe = {} if config_file is None else training.read_settings(config_file)
            settings = _merged(recipe, {"data": data, "out": out, **_settings(given)})
            config = training.TrainConfig.of(**settings)
            result = training.train(config, display, auto_resume=auto_resume)
    if speaks:
        OUT.print(f"best mean IoU {result.scores.mean_iou:.4f}: {result.model}", soft_wrap=True)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The options under the names that the configuration has for them."""
    augmentation = {
        name: given.pop(name) for name in ("crop", "rotation", "scale") if name in given
    }
    if "lr" in given:
        given["learning_rate"] = given.pop("lr")
    return {**given, "augmentation": augmentation} if augmentation else given


def _merged(recipe: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The recipe's settings, with what was given in place of them."""
    if "epochs" in given or "minutes" in given:
        recipe = {**recipe, "epochs": None, "minutes": None}
    augmentation = recipe.get("augmentation")
    if isinstance(augmentation, dict) and "augmentation" in given:
        given = {**given, "augmentation": {**augmentation, **given["augmentation"]}}
    return {**recipe, **given}
