"""What tests that trace networks share."""

from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import pytest
import torch


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """Without run-time shape checks: while a graph is traced, a size is no int."""
    # One thread: these networks are tiny, and threads that wait for each other are not.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    torch.set_num_threads(threads)
    jaxtyping.config.update("jaxtyping_disable", False)
