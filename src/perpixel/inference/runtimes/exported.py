"""Exported files: written whole, and read back into a card and a runtime."""

from __future__ import annotations

import io
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import ValidationError
from torch import nn
from torch.export import ExportedProgram

from perpixel.errors import ConfigError, ModelError
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.card import FORMAT, KEY, VERSION, ExportCard
from perpixel.inference.runtimes.onnx_runtime import OnnxRuntime
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.program_file import archived, card_text, checked_parts
from perpixel.inference.runtimes.runtime import Precision, Runtime
from perpixel.inference.runtimes.torch_runtime import TorchRuntime
from perpixel.score_map import Placement, ScoreMap
from perpixel.whole_file import write_whole

ONNX, OPENVINO, TORCH = ".onnx", ".xml", ".pt2"
SUFFIXES = (ONNX, OPENVINO, TORCH)


@dataclass(frozen=True)
class ExportedModel:
    """What a file holds: all that `Model` needs but a module.

    Args:
        card: labels, preprocessing and the rest.
        runtime: computes it.
    """

    card: ExportCard
    runtime: Runtime


class ProgramNetwork(nn.Module):
    """A program of torch's as a network: from normalised images to a ScoreMap.

    Args:
        program: ends at the coarse scores.
        placement: where they lie.
    """

    def __init__(self, program: ExportedProgram, placement: Placement) -> None:
        super().__init__()
        # No submodule: a program has no modes that could be changed.
        self._computed = (program.module(),)
        self.placement = placement

    def forward(self, images: Float[torch.Tensor, "batch bands H W"]) -> ScoreMap:
        """Score images of any height and width from 1 up."""
        height, width = images.shape[2:]
        return self.placement.of(self._computed[0](images), (height, width))


def write_onnx(path: Path, proto: Any, card: ExportCard) -> None:
    """Write an `onnx.ModelProto` and its card.

    Raises:
        OutputError: the place cannot be written.
    """
    del proto.metadata_props[:]
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, card.model_dump_json()
    write_whole(path, proto.SerializeToString())


def write_openvino(path: Path, model: Any, card: ExportCard) -> None:
    """Write an `openvino.Model` and its card: the weights beside `path`, in a file with the suffix
    .bin, and then `path`.

    Raises:
        OutputError: the place cannot be written.
    """
    openvino = packages.openvino()
    model.set_rt_info(card.model_dump_json(), KEY)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.xml"
        openvino.save_model(model, str(made), compress_to_fp16=False)
        write_whole(path.with_suffix(".bin"), made.with_suffix(".bin").read_bytes())
        write_whole(path, made.read_bytes())


def write_program(path: Path, program: ExportedProgram, card: ExportCard) -> None:
    """Write a program of torch's and its card.

    Raises:
        OutputError: the place cannot be written.
    """
    content = io.BytesIO()
    # Example inputs would be stored as a pickle.
    program.example_inputs = None
    with warnings.catch_warnings():
        # About weights that share memory; what is written is read back and compared.
        warnings.simplefilter("ignore", UserWarning)
        torch.export.save(program, content, extra_files={KEY: card.model_dump_json()})
    write_whole(path, content.getvalue())


def read_export(
    path: Path, precision: Precision | None = None, device: torch.device | None = None
) -> ExportedModel:
    """Read a file that `perpixel export` wrote, by its suffix: .onnx, .xml or .pt2.

    Args:
        path: the file.
        precision: in which numbers it is computed; None as it is stored. An ONNX file runs as it
            is stored, OpenVINO's also in "bf16", torch's in "bf16" and "fp16".
        device: where torch runs it; the others run on the CPU.

    Raises:
        ModelError: the file is missing, damaged or not one of ours, or a newer perpixel's, or it is
            a whole graph (`--full`), which takes no perpixel to run.
        ConfigError: its runtime is not installed, or has no such precision.
    """
    if path.suffix not in SUFFIXES:
        raise _refused(path, "no suffix of an export")
    if not path.is_file():
        raise _refused(path, "no such file")
    if path.suffix == ONNX:
        return _read_onnx(path, precision)
    if path.suffix == OPENVINO:
        return _read_openvino(path, precision)
    return _read_program(path, precision, device or torch.device("cpu"))


def _read_onnx(path: Path, precision: Precision | None) -> ExportedModel:
    onnxruntime = packages.onnxruntime()
    try:
        # A session is needed to read the metadata; it is the one that will compute.
        runtime = OnnxRuntime(path, Placement(1.0))
    except Exception as error:  # onnxruntime has a class of its own for every reason
        if type(error).__module__.split(".")[0] != onnxruntime.__name__:
            raise
        raise _refused(path, _line(error)) from None
    card = _card(path, runtime.metadata.get(KEY))
    runtime.placement = card.placement
    _check_precision(path, precision, card, ())
    return ExportedModel(card, runtime)


def _read_openvino(path: Path, precision: Precision | None) -> ExportedModel:
    core = packages.openvino_core()
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise _refused(path, _line(error)) from None
    stored = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
    card = _card(path, stored)
    _check_precision(path, precision, card, ("bf16",) if card.precision == "fp32" else ())
    runtime = OpenVinoRuntime(model, card.placement, precision or card.precision)
    return ExportedModel(card, runtime)


def _read_program(path: Path, precision: Precision | None, device: torch.device) -> ExportedModel:
    try:
        parts = checked_parts(path)
    except Exception as error:  # zipfile and json have a class of their own for every damage
        raise _refused(path, _line(error) or type(error).__name__) from None
    card = _card(path, card_text(parts))
    _check_precision(path, precision, card, ("bf16", "fp16"))
    try:
        program = torch.export.load(archived(parts))
    except Exception as error:  # torch raises what it likes about what is no program
        raise _refused(path, _line(error) or type(error).__name__) from None
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    network = ProgramNetwork(program, card.placement)
    return ExportedModel(card, TorchRuntime(network, device, precision or card.precision))


def _card(path: Path, text: str | None) -> ExportCard:
    if not text:
        raise _refused(path, "nothing in it says that perpixel wrote it")
    try:
        card = ExportCard.model_validate_json(text)
    except ValidationError as error:
        newer = f'"format":"{FORMAT}"' in text and f'"format_version":{VERSION},' not in text
        if newer:
            raise ModelError(
                path,
                found="an export of a newer form",
                expected=f"form {VERSION}",
                mend="Upgrade perpixel: the file was made by a newer one",
            ) from None
        raise _refused(path, f"its card is damaged ({_line(error)})") from None
    if card.full:
        raise ModelError(
            path,
            found="a whole graph, from an image to its mask",
            expected="one that ends at the coarse scores",
            mend="Run it in its own runtime, or export the model without --full",
        )
    return card


def _check_precision(
    path: Path, asked: Precision | None, card: ExportCard, more: tuple[Precision, ...]
) -> None:
    known = (card.precision, *more)
    if asked is not None and asked not in known:
        raise ConfigError(
            "precision",
            found=f"{path} cannot run in {asked}",
            expected=" or ".join(known),
            mend="Leave the precision out, or export the model in another form",
        )


def _refused(path: Path, found: str) -> ModelError:
    return ModelError(
        path,
        found=found,
        expected=f"a file that `perpixel export` wrote ({', '.join(SUFFIXES)})",
        mend="Export the model again",
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
