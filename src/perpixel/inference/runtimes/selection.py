"""From what a caller asks for, or leaves to `auto`, to the runtimes that can compute a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch

from perpixel.checkpoint import Checkpoint
from perpixel.errors import ConfigError, ModelError
from perpixel.inference.remembered import recalled
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.card import ExportCard
from perpixel.inference.runtimes.choice import AutoRuntime, Candidate
from perpixel.inference.runtimes.converted import (
    has_openvino_graph,
    onnx_graph,
    openvino_graph,
)
from perpixel.inference.runtimes.device import pick_device
from perpixel.inference.runtimes.exported import ONNX, OPENVINO, TORCH, read_export
from perpixel.inference.runtimes.onnx_runtime import OnnxRuntime
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.prepared import PreparedRuntime
from perpixel.inference.runtimes.runtime import Precision, Runtime, RuntimeName
from perpixel.inference.runtimes.torch_runtime import TorchRuntime
from perpixel.machine import processor
from perpixel.networks import Network

AUTO = "auto"
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Which numbers each runtime computes a model file in, on a CPU.
OFFERED: dict[RuntimeName, tuple[Precision, ...]] = {
    "openvino": ("bf16", "fp32"),
    "torch": ("bf16", "fp32"),
    "onnxruntime": ("fp32",),
}
ON_GPU: tuple[Precision, ...] = ("bf16", "fp16", "fp32")
EXPORTS: dict[str, RuntimeName] = {ONNX: "onnxruntime", OPENVINO: "openvino", TORCH: "torch"}
ASKED = "asked for"
# So many are computed sooner than a network is converted and the fastest runtime is found.
FEW_PIXELS = 16_000_000


def check_names(runtime: str, precision: str, where: str = "") -> None:
    """Are there such a runtime and such a precision, or is it "auto"?

    Args:
        where: what the names of the settings begin with.

    Raises:
        ConfigError: there are not.
    """
    for kind, name, names in (
        ("runtime", runtime, RUNTIMES),
        ("precision", precision, PRECISIONS),
    ):
        if name not in (AUTO, *names):
            raise ConfigError(
                where + (kind.upper() if where else kind),
                found=f"no {kind} is called {name!r}",
                expected=" or ".join((AUTO, *names)),
                mend="Leave it out, or name one of these",
            )


def from_environment(runtime: str, precision: str) -> tuple[str, str]:
    """Both names; in the place of "auto" what PERPIXEL_RUNTIME and PERPIXEL_PRECISION say.

    Raises:
        ConfigError: they name no runtime or precision.
    """
    prefix = "PERPIXEL_"
    theirs = (os.environ.get(f"{prefix}{kind}") or AUTO for kind in ("RUNTIME", "PRECISION"))
    fixed_runtime, fixed_precision = theirs
    check_names(fixed_runtime, fixed_precision, prefix)
    return (
        fixed_runtime if runtime == AUTO else runtime,
        fixed_precision if precision == AUTO else precision,
    )


def for_checkpoint(
    checkpoint: Checkpoint,
    network: Network,
    device: torch.device,
    checksum: str,
    runtime: str,
    precision: str,
    pixels: int | None = None,
) -> Runtime:
    """What computes a model file's network.

    Args:
        network: the checkpoint's, on the device.
        device: where it runs.
        checksum: of the file.
        runtime, precision: names, or "auto": then the environment is asked, and what it leaves
            open is measured.
        pixels: how many are to be predicted, where that is known: for `FEW_PIXELS` on a CPU
            "auto" measures nothing; unless that was done before, it is the network as trained.

    Raises:
        ConfigError: the runtime is not installed, is none for this device, or does not offer the
            precision.
    """
    runtime, precision = from_environment(runtime, precision)
    if (runtime, precision) == ("torch", "fp32"):
        # The network as it was trained, to the last digit.
        return TorchRuntime(network, device)
    bands = checkpoint.network.bands

    def make(name: RuntimeName, kind: Precision) -> Runtime:
        match name:
            case "torch":
                return PreparedRuntime(network, device, kind)
            case "openvino":
                graph = openvino_graph(network, bands, checksum)
                return OpenVinoRuntime(graph, network.placement, kind)
            case "onnxruntime":
                return OnnxRuntime(onnx_graph(network, bands, checksum), network.placement)

    candidates = [
        Candidate(name, kind, partial(make, name, kind))
        for name, kind in offers(device, runtime, precision)
    ]
    reason = _reason(runtime, precision)
    about = _about(device, candidates, checkpoint.network.model_dump_json())
    few = pixels is not None and pixels <= FEW_PIXELS and device.type == "cpu"
    if few and (runtime, precision) == (AUTO, AUTO) and not _is_ready(candidates, about, checksum):
        candidates = [Candidate("torch", "fp32", lambda: TorchRuntime(network, device))]
        reason = "nothing faster has been prepared, which one image is too little for"
    return AutoRuntime(candidates, reason=reason, about=about, bands=bands, device=device)


def _is_ready(candidates: Sequence[Candidate], about: Mapping[str, str], checksum: str) -> bool:
    """Whether the fastest is known, and what it may be computed with was made before."""
    converts = any(candidate.runtime == "openvino" for candidate in candidates)
    return recalled(about) is not None and (not converts or has_openvino_graph(checksum))


def for_export(
    path: Path, device: str | None, runtime: str, precision: str
) -> tuple[ExportCard, Runtime, torch.device]:
    """An exported file's card, what computes it, and where.

    Args:
        path: its suffix is one of `EXPORTS`.
        device: a device's name; a GPU is for torch's programs alone.
        runtime: "auto", or the file's own.
        precision: a name; "auto" is as the file is stored, or bf16 where OpenVINO gains by it.

    Raises:
        ModelError: the file is not one of ours, is damaged, or another runtime was asked for.
        ConfigError: its runtime is not installed, or is none for this device or precision.
    """
    own = EXPORTS[path.suffix.lower()]
    if runtime not in (AUTO, own):
        raise ModelError(
            path,
            found=f"an export for {own}",
            expected=f"a model for {runtime} (.safetensors)",
            mend="Give the model that it was exported from",
        )
    anywhere = own == "torch" or device not in (None, AUTO)
    place = pick_device(device if anywhere else "cpu")
    if place.type != "cpu" and own != "torch":
        raise _no_gpu(own)
    stored = read_export(path, _precision(precision), place)
    card = stored.card
    both = own == "openvino" and card.precision == "fp32" and has_bf16()
    if precision != AUTO or not both:
        return card, stored.runtime, place
    candidates = [
        Candidate(own, "bf16", lambda: read_export(path, "bf16").runtime),
        Candidate(own, "fp32", lambda: stored.runtime),
    ]
    chosen = AutoRuntime(
        candidates,
        reason="",
        about=_about(place, candidates, card.model_dump_json()),
        bands=card.preprocessing.bands,
        device=place,
    )
    return card, chosen, place


def _precision(name: str) -> Precision | None:
    return next((known for known in PRECISIONS if known == name), None)


def offers(
    device: torch.device, runtime: str, precision: str
) -> list[tuple[RuntimeName, Precision]]:
    """The runtimes and precisions to choose from for a model file, the likely fastest first.

    "auto" leaves out onnxruntime, which OpenVINO beats on every network, and bf16 where the
    processor has no instructions for it.

    Raises:
        ConfigError: nothing is left, or the runtime that was asked for is not installed.
    """
    if device.type == "cuda":
        if runtime not in (AUTO, "torch"):
            raise _no_gpu(runtime)
        if precision not in (AUTO, *ON_GPU):
            raise _not_offered("torch", precision, ON_GPU)
        half: Precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        kinds = (half, "fp32") if precision == AUTO else ON_GPU
        return [("torch", kind) for kind in kinds if precision in (AUTO, kind)]
    if runtime in ("openvino", "onnxruntime"):
        _ = packages.openvino() if runtime == "openvino" else packages.onnxruntime()
        names = [name for name in OFFERED if name == runtime]
    elif runtime == AUTO:
        names = ["torch"] if find_spec("openvino") is None else ["openvino", "torch"]
    else:
        names = ["torch"]
    found = [(name, kind) for name in names for kind in OFFERED[name]]
    wanted = [(name, kind) for name, kind in found if precision in (AUTO, kind)]
    if not wanted:
        raise _not_offered(runtime, precision, dict.fromkeys(kind for _, kind in found))
    if precision == AUTO and not has_bf16():
        wanted = [(name, kind) for name, kind in wanted if kind != "bf16"]
    # bf16 of either before fp32 of either.
    return sorted(wanted, key=lambda offer: offer[1] != "bf16")


def has_bf16() -> bool:
    """Whether this processor multiplies bf16 numbers (AMX or AVX512-BF16)."""
    # torch has no public way to ask that is as old as the oldest torch that we take.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def _reason(runtime: str, precision: str) -> str:
    """Why there is only one to choose from."""
    if AUTO not in (runtime, precision):
        return ASKED
    if runtime == "onnxruntime":
        return "what onnxruntime computes a model file in"
    if precision != AUTO:
        return "the only runtime here that offers it"
    return "this processor has no instructions for bf16"


def _about(device: torch.device, candidates: Sequence[Candidate], network: str) -> dict[str, str]:
    on_gpu = device.type == "cuda"
    about = {
        "measured": "network",
        "processor": torch.cuda.get_device_name(device) if on_gpu else processor(),
        "threads": str(torch.get_num_threads()),
        "candidates": ", ".join(candidate.title for candidate in candidates),
        "network": network,
    }
    # Those that convert, too: with others a network may be convertible that was not.
    for package in ("perpixel", "torch", "onnx", "onnxscript", "onnxruntime", "openvino"):
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = "none"
    return about


def _not_offered(where: str, precision: str, kinds: Sequence[str] | dict[str, None]) -> ConfigError:
    mend = f"Use {' or '.join(kinds)}"
    if precision == "int8":
        mend = "Export the model with `--to openvino-int8` and give that file"
    return ConfigError(
        where, found=f"does not compute in {precision}", expected=" or ".join(kinds), mend=mend
    )


def _no_gpu(runtime: str) -> ConfigError:
    return ConfigError(
        f"runtime {runtime}",
        found="here it computes on the CPU alone",
        expected="runtime torch for a GPU",
        mend="Use device cpu, or runtime torch",
    )
