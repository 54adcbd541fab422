"""A model file's conversions for other runtimes: made once, checked, and kept in the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from perpixel.errors import ConfigError
from perpixel.inference.remembered import cache_folder
from perpixel.inference.runtimes import packages
from perpixel.inference.runtimes.conversion import to_onnx, to_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.inference.runtimes.onnx_runtime import OnnxRuntime
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.runtime import Runtime
from perpixel.networks import Network
from perpixel.networks.folding import folded

# The conversion computes as torch does, to this share of the largest score.
TOLERANCE = 1e-3
CHECKED = (75, 107)  # pixels


def openvino_graph(network: Network, bands: int, checksum: str) -> Any:
    """The network as an `openvino.Model`, from normalised images to coarse scores.

    Args:
        network: on the CPU.
        bands: how many bands its images have.
        checksum: of the model file, under which the conversion is kept.

    Raises:
        ConfigError: openvino is not installed, it cannot convert this network, or the converted
            network computes something else.
    """
    core = packages.openvino_core()
    folder = _folder(checksum, "openvino")
    if folder is not None:
        try:
            return core.read_model(folder / "graph.xml", folder / "graph.bin")
        except Exception:  # missing, damaged or unreadable: all are mended by making it anew
            pass
    ours = _prepared(network)
    graph = _attempt("openvino", network, lambda: to_openvino(CoarseGraph(ours, bands)))
    _check(OpenVinoRuntime(graph, network.placement), ours, bands)
    _keep(
        folder,
        lambda to: packages.openvino().save_model(graph, to / "graph.xml", compress_to_fp16=False),
    )
    return graph


def has_openvino_graph(checksum: str) -> bool:
    """Whether `openvino_graph` has a conversion of the model file with this checksum at hand."""
    folder = _folder(checksum, "openvino")
    return folder is not None and (folder / "graph.xml").is_file()


def onnx_graph(network: Network, bands: int, checksum: str) -> bytes:
    """The network as the content of an ONNX file; otherwise as `openvino_graph`."""
    packages.onnxruntime()
    folder = _folder(checksum, "onnx")
    if folder is not None:
        try:
            content = (folder / "graph.onnx").read_bytes()
            OnnxRuntime(content, network.placement)
            return content
        except Exception:  # missing, damaged or unreadable: all are mended by making it anew
            pass
    ours = _prepared(network)
    graph = _attempt("onnx", network, lambda: to_onnx(CoarseGraph(ours, bands)))
    converted: bytes = graph.SerializeToString()
    _check(OnnxRuntime(converted, network.placement), ours, bands)
    _keep(folder, lambda to: (to / "graph.onnx").write_bytes(converted))
    return converted


def _folder(checksum: str, package: str) -> Path | None:
    cache = cache_folder()
    made_by = "-".join([package, *(version(name) for name in ("perpixel", "torch", package))])
    return cache and cache / "converted" / f"{checksum[:32]}-{made_by}"


def _prepared(network: Network) -> Network:
    with torch.inference_mode(False), torch.no_grad():
        return folded(network)


def _attempt(package: str, network: Network, convert: Callable[[], Any]) -> Any:
    try:
        with torch.inference_mode(False), torch.no_grad():
            return convert()
    except ConfigError:
        raise
    except Exception as error:  # tracers and converters raise what they like
        found = f"a {type(network).__name__} cannot be converted for it ({type(error).__name__})"
        raise _unfit(package, found) from error


def _check(runtime: Runtime, network: Network, bands: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, bands, *CHECKED, generator=generator)
    with torch.inference_mode():
        expected, found = network(images).scores, runtime.scores(images).scores
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= TOLERANCE:
        raise _unfit(runtime.name, f"its scores differ from torch's, by {difference:.1e} of them")


def _keep(folder: Path | None, write: Callable[[Path], object]) -> None:
    """Write files beside their place, and rename the folder; a cache that cannot be written is no
    error."""
    if folder is None:
        return
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True, exist_ok=True)
        write(beside)
        shutil.rmtree(folder, ignore_errors=True)
        beside.replace(folder)
    except (OSError, RuntimeError):
        pass
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unfit(package: str, found: str) -> ConfigError:
    return ConfigError(f"runtime {package}", found=found, mend="Use runtime torch for this model")
