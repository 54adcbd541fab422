"""Validation shared out over the processes of a run, with counts that add up exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perpixel.data.dataset import Pair
from perpixel.inference.evaluation import count
from perpixel.inference.predictor import Model
from perpixel.metrics import Confusion, Scores
from perpixel.training.processes import Processes
from perpixel.training.report import Listener


def shared_scores(
    model: Model,
    pairs: Sequence[Pair],
    processes: Processes,
    listener: Listener,
    check: Callable[[], None],
) -> Scores:
    """A model's scores over the pairs, each of them counted in exactly one process.

    As `perpixel evaluate` does it, so that the figure is reproduced to the last digit.

    Args:
        model: takes on the main process's weights in all processes.
        pairs: images with masks.
        processes: which share them.
        listener: hears how far it is.
        check: called after every image, as often in each process; may raise.
    """
    processes.as_in_main(model.network.state_dict().values())
    share = pairs[processes.rank :: processes.world]
    rounds = 0

    def progress(done: int, _: int) -> None:
        nonlocal rounds
        rounds += 1
        listener.validating(min(done * processes.world, len(pairs)), len(pairs))
        check()

    counts = Confusion(model.labels).counts
    if share:
        counts = count(model, share, progress=progress).counts
    if rounds < -(-len(pairs) // processes.world):
        progress(rounds, len(share))
    return Scores(model.labels, processes.counted(counts))
