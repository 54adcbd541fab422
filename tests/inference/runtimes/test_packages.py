"""Optional packages: said when they are missing, and silent when they are there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perpixel.errors import ConfigError
from perpixel.inference.runtimes import packages

# Every look-up and every connection of Python code is an event of these names.
WATCHED = """
import sys
asked = []
sys.addaudithook(
    lambda event, details: asked.append((event, details))
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib."))
    else None
)
from perpixel.inference.runtimes import packages
packages.onnxruntime()
openvino = packages.openvino()
{more}
ops = openvino.opset13
given = ops.parameter([1, 3], name="x")
openvino.compile_model(openvino.Model([ops.relu(given)], [given]), "CPU")
assert not any(name.startswith("openvino_telemetry.") for name in sys.modules)
import time
time.sleep(1)  # a message would be sent from a thread
assert asked == [], asked
"""


@pytest.mark.parametrize("more", ["", "packages.nncf()"])
def test_nothing_is_asked_of_the_network(more: str) -> None:
    subprocess.run([sys.executable, "-c", WATCHED.format(more=more)], check=True)


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime", "openvino", "nncf"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What find_spec of an absent package does.
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'perpixel\[runtimes\]'") as raised:
        getattr(packages, name)()
    assert raised.value.where == name


def test_a_fault_inside_a_package_is_not_taken_for_its_absence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'inner'", name="inner")

    monkeypatch.setattr(packages.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="inner"):
        packages.onnx()


INTERRUPTED = """
import faulthandler, gc, os, signal
faulthandler.enable()
import torch
from perpixel.inference.runtimes.conversion import to_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.networks import build, network_config

options = {"name": "fcn8s", "backbone": "test_resnet", "classes": 2, "head_channels": 8}
network = build(network_config(options)).eval()
graph = to_openvino(CoarseGraph(network, 3))
first = OpenVinoRuntime(graph, network.placement)
second = OpenVinoRuntime(graph, network.placement)
first.scores(torch.zeros(1, 3, 64, 64))
del first
gc.collect()
del second
gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit("not interrupted")
except KeyboardInterrupt:
    pass
"""


def test_a_signal_is_survived_when_runtimes_have_come_and_gone() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", INTERRUPTED], check=True)
