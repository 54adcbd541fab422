"""The packages of the `runtimes` extra, imported when they are used, and kept from asking anything
of the network."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from perpixel.errors import ConfigError

INSTALL = "pip install 'perpixel[runtimes]'"


def onnx() -> Any:
    """ONNX's own package: reads and writes its files.

    Raises:
        ConfigError: it is not installed, as for all of these.
    """
    return _imported("onnx")


def onnxscript() -> Any:
    """What torch writes ONNX with."""
    return _imported("onnxscript")


def onnxruntime() -> Any:
    """ONNX Runtime, its counters off."""
    runtime: Any = _imported("onnxruntime")
    runtime.disable_telemetry_events()
    return runtime


def openvino() -> Any:
    """OpenVINO, its counters off."""
    _silence()
    return _imported("openvino")


@cache
def openvino_core() -> Any:
    """The one `openvino.Core` that this process computes with.

    Each Core brings a stack for signals, and on its end puts back the one that it found. Where one
    was set, as `faulthandler` does, two that end in the order of their making leave a stack that
    is gone, and the next Ctrl-C ends the process. `openvino.compile_model` makes one at each call.

    Raises:
        ConfigError: openvino is not installed.
    """
    return openvino().Core()


@contextmanager
def sharing_the_core() -> Iterator[None]:
    """Within it, whoever makes an `openvino.Core` or compiles by another, as nncf does for every
    model that it computes, is given this process's one."""
    package, core = openvino(), openvino_core()
    own = package.Core, package.compile_model
    package.Core, package.compile_model = lambda: core, core.compile_model
    try:
        yield
    finally:
        package.Core, package.compile_model = own


def nncf() -> Any:
    """What quantises OpenVINO's models, its counters off and its log silent but for errors."""
    _silence()
    package: Any = _imported("nncf")
    package.set_log_level(40)
    return package


def _silence() -> None:
    # OpenVINO tells an outside host of its import and of every conversion, unless a file in the
    # user's home says no. Without this package of theirs it has nothing to tell it with. Where
    # the caller has imported it already, the caller has decided.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigError(
            name, found="this package is not installed", mend=f"Install it with {INSTALL}"
        ) from None
