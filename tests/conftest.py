"""What tests of several parts share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def fixed_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`auto` is torch in fp32, measured by nobody, and the user's cache is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERPIXEL_RUNTIME", "torch")
        patch.setenv("PERPIXEL_PRECISION", "fp32")
        patch.setenv("PERPIXEL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The CamVid folder: in PERPIXEL_DATA, or in `shared` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ.get("PERPIXEL_DATA", beside)) / "camvid"
    if not (root / "classes.yaml").is_file():
        pytest.skip(f"no CamVid data set in {root}: set PERPIXEL_DATA to its parent folder")
    return root
