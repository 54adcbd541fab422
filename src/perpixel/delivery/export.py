"""Export: a model as a file for another runtime, checked against torch before it is kept."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8

from perpixel.checkpoint import read_checkpoint
from perpixel.data.decode import read_image
from perpixel.delivery.agreement import (
    EQUAL,
    TOLERANCE,
    Agreement,
    Named,
    mask_agreement,
    score_agreement,
)
from perpixel.delivery.int8 import Calibration, Int8, quantise
from perpixel.delivery.scenes import draw
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import TorchRuntime, packages
from perpixel.inference.runtimes.card import ExportCard
from perpixel.inference.runtimes.conversion import OPSET, to_onnx, to_openvino, to_program
from perpixel.inference.runtimes.exported import (
    read_export,
    write_onnx,
    write_openvino,
    write_program,
)
from perpixel.inference.runtimes.graphs import CoarseGraph, FullGraph
from perpixel.networks.folding import folded
from perpixel.preprocessing import Preprocessing
from perpixel.whole_file import write_whole

Target = Literal["onnx", "openvino", "openvino-int8", "torch"]
SUFFIX: dict[Target, str] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "openvino-int8": ".xml",
    "torch": ".pt2",
}
MAKERS: dict[Target, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino", "onnx", "onnxscript"),
    "openvino-int8": ("openvino", "nncf", "onnx", "onnxscript"),
    "torch": (),
}
# Larger than what a network sees at once, of most networks.
SCENE = (321, 481)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        card: what the file says of itself.
        agreement: with torch, on three images.
        int8: what quantising cost and left alone.
    """

    card: ExportCard
    agreement: list[Agreement]
    int8: Int8 | None = None


def export_model(
    path: Path,
    target: Target,
    out: Path,
    *,
    images: Sequence[Named] = (),
    full: bool = False,
    calibration: Calibration | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write a model for another runtime, after the file has been checked.

    Args:
        path: a model file.
        target: for which runtime.
        out: the file; its suffix is the target's. OpenVINO's weights come beside it (.bin).
        images: what is checked on, as decoded; none: drawn scenes.
        full: the graph goes from a uint8 image to its mask.
        calibration: for int8.
        progress: told what is being done.

    Raises:
        DataError: the dataset for int8 lacks a split, or a file of it cannot be read; an image is
            no uint8 image, and the graph takes no others.
        ConfigError: a package is not installed, the suffix is another, or the settings contradict
            each other.
        ModelError: the model file cannot be used, or the export does not agree with torch or costs
            too much mean IoU; nothing is written.
        OutputError: the place cannot be written.
    """
    _check(target, out, full, calibration)
    _import(target)
    checkpoint = read_checkpoint(path)
    network, cpu = checkpoint.restore(), torch.device("cpu")
    model = Model(
        network, checkpoint.labels, checkpoint.preprocessing, cpu, TorchRuntime(network, cpu)
    )
    images = images or drawn_scenes(model.preprocessing.bands)
    _check_images(images, model.preprocessing, full)
    card = ExportCard(
        network=checkpoint.network.name,
        labels=model.labels,
        preprocessing=model.preprocessing,
        placement=network.placement,
        canvas=network.canvas,
        precision="int8" if target == "openvino-int8" else "fp32",
        full=full,
        versions=_versions(target),
    )
    progress("converting")
    plain = folded(network)
    graph = (
        FullGraph(plain, model.preprocessing, model.labels.classes)
        if full
        else CoarseGraph(plain, model.preprocessing.bands)
    )
    int8 = None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"model{SUFFIX[target]}"
        match target:
            case "torch":
                write_program(made, to_program(graph), card)
            case "onnx":
                write_onnx(made, to_onnx(graph), card)
            case "openvino":
                write_openvino(made, to_openvino(graph), card)
            case "openvino-int8":
                assert calibration is not None
                int8 = quantise(model, to_openvino(graph), card.placement, calibration, progress)
                write_openvino(made, int8.quantised.model, card)
        progress("checking")
        if full:
            agreement = mask_agreement(model, made, images)
        else:
            agreement = score_agreement(model, read_export(made).runtime, images)
        failing = [one for one in agreement if not one.holds]
        if failing and int8 is None:
            raise ModelError(
                out,
                found=f"the export does not compute what torch does ({failing[0]})",
                expected=f"{100 * EQUAL:g} % of pixels equal, scores within {TOLERANCE:g}",
                mend="Nothing was written. Use the model in torch, or export it to another runtime",
            )
        # The weights before the file that needs them.
        if made.suffix == ".xml":
            write_whole(out.with_suffix(".bin"), made.with_suffix(".bin").read_bytes())
        write_whole(out, made.read_bytes())
    return Exported(card, agreement, int8)


def read_images(paths: Sequence[Path]) -> list[Named]:
    """Up to three images, decoded.

    Raises:
        DataError: one cannot be decoded.
    """
    return [(str(path), read_image(path)) for path in paths[:3]]


def drawn_scenes(bands: int) -> list[Named]:
    """Three street scenes of a model's own bands, for whoever names no images.

    Each three bands are of another drawing: equal ones would hide an export that mixes them up.
    """
    return [(f"scene {index}", _drawn(index, bands)) for index in range(3)]


def _drawn(index: int, bands: int) -> UInt8[np.ndarray, "{bands} H W"]:
    drawings = [draw(seed, index, *SCENE)[0] for seed in range(math.ceil(bands / 3))]
    return np.ascontiguousarray(np.concatenate(drawings, axis=2)[..., :bands].transpose(2, 0, 1))


def _check(target: Target, out: Path, full: bool, calibration: Calibration | None) -> None:
    if out.suffix != SUFFIX[target]:
        raise ConfigError(
            "--out",
            found=f"{out}",
            expected=f"a file with the suffix {SUFFIX[target]}",
            mend="Give it a name that ends so",
        )
    if full and target not in ("onnx", "openvino"):
        raise ConfigError(
            "--full",
            found=f"a whole graph for {target}",
            expected="onnx or openvino",
            mend="Leave --full out",
        )
    if (calibration is not None) != (target == "openvino-int8"):
        raise ConfigError(
            "--calibrate",
            found=f"{'a dataset' if calibration else 'no dataset'} for {target}",
            expected="a dataset for openvino-int8, which is calibrated with it, and for no other",
            mend="Leave it out" if calibration else "Give --calibrate DATA",
        )


def _check_images(images: Sequence[Named], preprocessing: Preprocessing, full: bool) -> None:
    """Complain before the conversion, which takes long."""
    for name, image in images:
        preprocessing.fit_bands(image, name)
        if full and image.dtype != np.uint8:
            raise DataError(
                name,
                found=f"pixels of {image.dtype}",
                expected="uint8, which is all that a graph of --full takes",
                mend="Give other --images, or leave --full out",
            )


def _import(target: Target) -> None:
    """Complain about a missing package before anything takes long."""
    match target:
        case "onnx":
            packages.onnxruntime()
        case "openvino":
            packages.openvino()
        case "openvino-int8":
            packages.nncf()
        case "torch":
            return
    packages.onnx()
    packages.onnxscript()


def _versions(target: Target) -> dict[str, str]:
    found = {package: version(package) for package in ("perpixel", "torch", *MAKERS[target])}
    return found if target == "torch" else {**found, "opset": str(OPSET)}
