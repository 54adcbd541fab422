"""Exported files: what they say of themselves, read from the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perpixel.errors import ModelError
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.card import KEY, VERSION, ExportCard
from perpixel.inference.runtimes.onnx_runtime import OnnxRuntime


def read_onnx(path: Path) -> tuple[ExportCard, OnnxRuntime]:
    """An ONNX file that perpixel exported, ready to compute.

    Raises:
        ConfigError: onnxruntime is not installed.
        ModelError: the file is missing, damaged or not one of ours.
    """
    onnxruntime = packages.onnxruntime()
    _check_there(path)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
    except Exception as error:  # each of its errors has a type of its own
        raise _refuse(path, f"no ONNX file that can be used ({_line(error)})") from None
    card = _card(path, text)
    return card, OnnxRuntime(path, card.placement)


def read_openvino(path: Path) -> tuple[ExportCard, Any]:
    """The `openvino.Model` of an `.xml` file, with the `.bin` beside it, that perpixel exported.

    Raises:
        ConfigError: openvino is not installed.
        ModelError: a file is missing, damaged or not one of ours.
    """
    openvino = packages.openvino()
    _check_there(path)
    try:
        graph = openvino.Core().read_model(path)
        text = graph.get_rt_info([KEY]).astype(str) if graph.has_rt_info([KEY]) else None
    except Exception as error:  # its errors are RuntimeErrors, and others below it
        raise _refuse(path, f"no OpenVINO model that can be used ({_line(error)})") from None
    return _card(path, text), graph


def _card(path: Path, text: str | None) -> ExportCard:
    if text is None:
        raise _refuse(path, "no export of perpixel's")
    try:
        card = ExportCard.model_validate_json(text)
    except ValidationError:
        raise _refuse(path, f"its metadata are not those of an export of form {VERSION}") from None
    if card.full:
        raise ModelError(
            path,
            found="an export from image to mask, made for use without perpixel",
            expected="an export that ends at the coarse scores",
            mend="Export the model again without --full",
        )
    return card


def _check_there(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror or error})") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _refuse(path: Path, found: str) -> ModelError:
    return ModelError(
        path,
        found=found,
        expected="a file that perpixel export wrote",
        mend="Give such a file, or the model that it was exported from",
    )
