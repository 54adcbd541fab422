"""A GPU's work for one size of images as one graph: it starts at once instead of layer by layer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import torch

from perpixel.score_map import ScoreMap

KEPT = 4  # sizes; each graph holds the memory of all its layers' results
WARM_UPS = 3
Replay = Callable[[torch.Tensor], ScoreMap]


class CapturedGraphs:
    """Runs a function layer by layer where a size of images is new, and from the second time on
    as a captured graph (https://pytorch.org/docs/stable/notes/cuda.html, "CUDA Graphs").

    Args:
        run: from images on a GPU to their scores; it waits for no result.
        capture: makes the graph of a function for images of one shape.
    """

    def __init__(
        self, run: Replay, capture: Callable[[Replay, torch.Tensor], Replay] | None = None
    ) -> None:
        self.run = run
        self.capture = capture or capture_graph
        # A graph writes its result to one place: one thread at a time.
        self._lock = threading.Lock()
        self._graphs: OrderedDict[tuple[int, ...], Replay | None] = OrderedDict()

    def __call__(self, images: torch.Tensor) -> ScoreMap:
        """The scores of images."""
        shape = tuple(images.shape)
        with self._lock:
            seen = shape in self._graphs
            graph = self._graphs.pop(shape, None)
            if seen and graph is None:
                graph = self.capture(self.run, images)
            self._graphs[shape] = graph
            if len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
            return (graph or self.run)(images)


def capture_graph(run: Replay, images: torch.Tensor) -> Replay:
    """Capture what `run` does on a GPU for images of this shape."""
    given = images.clone()
    stream = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(images.device))
    # Libraries choose their algorithms and take their memory before the capture.
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            run(given)
    torch.cuda.current_stream(images.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(images.device), torch.cuda.graph(graph):
        found = run(given)

    def replay(images: torch.Tensor) -> ScoreMap:
        given.copy_(images)
        graph.replay()
        return replace(found, scores=found.scores.clone())

    return replay
