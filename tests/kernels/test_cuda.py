"""Triton's kernels, without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton comes with torch on Linux for x86-64 only")


def test_kernels_in_the_interpreter_are_the_reference_s():
    # Triton reads this variable when a kernel is made: hence a process of its own.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    script = Path(__file__).with_name("interpreted.py")
    subprocess.run([sys.executable, str(script)], check=True, timeout=900, env=environment)
