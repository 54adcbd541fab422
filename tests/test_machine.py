"""What a machine offers, in and outside a container."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from perpixel.machine import (
    available_memory,
    forget_peak_memory,
    peak_memory,
    processor,
)


def test_without_control_groups_it_is_what_the_machine_has_free(tmp_path: Path) -> None:
    free = psutil.virtual_memory().available
    assert available_memory(tmp_path) == pytest.approx(free, rel=0.2)


def test_a_containers_limit_holds_where_it_is_lower(tmp_path: Path) -> None:
    for name, text in (
        ("memory.max", "1000000\n"),
        ("memory.current", "700000\n"),
        ("memory.stat", "anon 500000\nfile 200000\ninactive_file 150000\n"),
    ):
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == 1_000_000 - 700_000 + 150_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) > 1_000_000


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    for name, text in (
        ("memory.limit_in_bytes", "5000000"),
        ("memory.usage_in_bytes", "6000000"),
        ("memory.stat", "cache 1\ntotal_inactive_file 0\n"),
    ):
        (tmp_path / "memory" / name).write_text(text)
    assert available_memory(tmp_path) == 0


def test_a_peak_that_is_forgotten_is_told_anew() -> None:
    held = np.ones(40_000_000, np.uint8)
    with_it = peak_memory()
    del held
    if not forget_peak_memory():
        pytest.skip("this system does not forget")
    # More than the array may go: malloc gives back whatever other tests have freed.
    without = peak_memory()
    assert without < with_it - 20_000_000
    np.ones(40_000_000, np.uint8)
    assert peak_memory() > without + 20_000_000


def test_a_system_that_cannot_forget_says_so(tmp_path: Path) -> None:
    assert not forget_peak_memory(tmp_path / "none")


def test_the_processor_is_named_as_linux_describes_it(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text(
        "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: A Fast One @ 2 GHz\n"
        "stepping\t: 8\nflags\t\t: fpu\n\n"
    )
    assert processor(facts) == "A Fast One @ 2 GHz 6 143 8"


def test_elsewhere_the_processor_has_the_name_that_python_knows(tmp_path: Path) -> None:
    assert processor(tmp_path / "nothing") == (platform.processor() or platform.machine())
    (tmp_path / "other").write_text("Hardware : none of these\n")
    assert processor(tmp_path / "other") == processor(tmp_path / "nothing")


HELD = """
import numpy as np, psutil, sys
from perpixel.machine import give_memory_back
if sys.argv[1] == "given back" and not give_memory_back():
    sys.exit(77)
# The first block that is freed raises what glibc keeps, and the last one holds the heap's end.
np.ones(3_900_000)
blocks = [np.ones(3_000_000 if index % 2 else 30_000) for index in range(9)]
full = psutil.Process().memory_info().rss
for index in (1, 3, 5, 7):
    blocks[index] = None
print(full - psutil.Process().memory_info().rss)
"""


def test_freed_blocks_go_back_to_the_system() -> None:
    command = [sys.executable, "-c", HELD, "given back"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode == 77:
        pytest.skip("this system decides for itself")
    # Four blocks of 24 MB.
    assert int(found.stdout) > 80_000_000
