"""What tests of several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The CamVid folder: in PERPIXEL_DATA, or in `shared` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ.get("PERPIXEL_DATA", beside)) / "camvid"
    if not (root / "classes.yaml").is_file():
        pytest.skip(f"no CamVid data set in {root}: set PERPIXEL_DATA to its parent folder")
    return root
