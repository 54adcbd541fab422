"""Layers that cost too much go back to floating point."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from networks.test_conformance import shaken

from perpixel.inference.runtimes.conversion import to_openvino
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.inference.runtimes.openvino_runtime import OpenVinoRuntime
from perpixel.inference.runtimes.quantisation import Quantised, quantised
from perpixel.inference.runtimes.runtime import Runtime
from perpixel.networks import network_config
from perpixel.networks.folding import folded


class SignalStack(ctypes.Structure):
    """`stack_t` of <signal.h>."""

    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


def signal_stack() -> tuple[int | None, int]:
    """Where handlers of signals run in this thread, and how much room they have there."""
    found = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.pointer, found.size


pytestmark = pytest.mark.usefixtures("unchecked")


def test_how_far_the_score_may_fall_decides_which_layers_stay() -> None:
    network = folded(shaken(network_config({"name": "segnet-basic", "width": 2, "classes": 2})))
    graph = to_openvino(CoarseGraph(network, 3))
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((1, 3, 32, 48), np.float32) for _ in range(3)]

    def nearness(runtime: Runtime, items: Sequence[np.ndarray]) -> float:
        """How near the scores come to torch's: the negative of the largest difference."""
        differences = []
        for image in items:
            batch = torch.from_numpy(image)
            with torch.no_grad():
                expected = network(batch).scores
            found = runtime.scores(batch).scores
            differences.append(float((found - expected).abs().max() / expected.abs().max()))
        return -max(differences)

    def within(max_drop: float) -> Quantised:
        return quantised(
            graph, network.placement, images, lambda image: image, images, nearness, max_drop
        )

    convolutions = sum(isinstance(one, torch.nn.Conv2d) for one in network.modules())
    # The first model that is compiled brings one.
    OpenVinoRuntime(graph, network.placement)
    before = signal_stack()
    everything, nothing = within(10.0), within(1e-4)
    # One that is gone would end the process at the next signal.
    assert signal_stack() == before
    assert (everything.layers, len(everything.kept)) == (convolutions, 0)
    assert (nothing.layers, len(nothing.kept)) == (convolutions, convolutions)
