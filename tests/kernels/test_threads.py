"""The kernels' threads: the same bits from any number of them, in training and behind a server."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from perpixel.kernels import cross_entropy
from perpixel.kernels.cpu_threads import side_by_side
from perpixel.score_map import ScoreMap

START = """
import os, numpy as np, torch
from concurrent.futures import ThreadPoolExecutor
from perpixel import kernels
from perpixel.score_map import ScoreMap

torch.manual_seed(0)
SCORES, MASK = torch.randn(2, 5, 40, 40), torch.randint(0, 5, (2, 320, 320))

def step(_=None):
    scores = SCORES.clone().requires_grad_()
    score_map = ScoreMap.of(scores, (320, 320))
    loss = kernels.cross_entropy(score_map, MASK, ignore_index=255)
    loss.backward()
    mask, probability = kernels.winner(score_map)
    counts = kernels.confusion(mask, MASK, classes=5, ignore_index=255)
    return loss.detach(), scores.grad, mask, probability, counts

def same(one, other):
    # By NumPy: torch's own comparison runs on OpenMP, which may hang in a forked child.
    return all(np.array_equal(x.numpy(), y.numpy()) for x, y in zip(one, other, strict=True))
"""

SERVING_AND_FORKED = """
torch.set_num_threads(3)
right = step()
with ThreadPoolExecutor(4) as callers:
    assert all(same(right, each) for each in callers.map(step, range(24)))
assert torch.get_num_threads() == 3
child = os.fork()
if child == 0:
    os._exit(0 if same(right, step()) else 1)
assert os.waitpid(child, 0)[1] == 0
assert same(right, step())
"""

LOADER = """
torch.set_num_threads(2)

class Steps(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return [each.numpy() for each in step()]

if __name__ == "__main__":
    right = step()
    for context in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(
            Steps(), batch_size=None, num_workers=1, multiprocessing_context=context
        )
        for found in loader:
            found = [torch.as_tensor(each) for each in found]
            assert torch.equal(found[2], right[2])
            assert torch.equal(found[1], right[1])
"""


def test_threads_call_at_once_and_a_forked_child_calls_too():
    subprocess.run([sys.executable, "-c", START + SERVING_AND_FORKED], check=True, timeout=300)


def test_loader_workers_may_compute(tmp_path):
    script = tmp_path / "steps.py"
    script.write_text(START + LOADER)
    subprocess.run([sys.executable, str(script)], check=True, timeout=300)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    scores = torch.randn(3, 12, 30, 31)
    mask = torch.randint(0, 12, (3, 211, 203))
    results = []
    try:
        for threads in (1, 2, 5, 5):
            torch.set_num_threads(threads)
            own = scores.clone().requires_grad_()
            loss = cross_entropy(ScoreMap.of(own, (211, 203), offset=0.3), mask, ignore_index=255)
            loss.backward()
            results.append((loss.detach(), own.grad))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        assert torch.equal(gradient, results[0][1])


def test_every_piece_is_done_once_and_errors_come_through():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    done = np.zeros(100, dtype=int)

    def count(indices):
        for index in indices:
            done[index] += 1

    def fail(indices):
        for _ in indices:
            raise KeyError("broken")

    try:
        side_by_side(count, 100)
        assert (done == 1).all()
        with pytest.raises(KeyError, match="broken"):
            side_by_side(fail, 10)
    finally:
        torch.set_num_threads(before)
