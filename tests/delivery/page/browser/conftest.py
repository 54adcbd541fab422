"""The page in a browser: the distribution's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from delivery.page.browser.looking import DESK, PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# The camera is a drawn one.
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip(f"no Chromium on the path: none of {', '.join(NAMES)}")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def asked() -> list[str]:
    """The addresses that the browser has asked for."""
    return []


@pytest.fixture(params=[DESK], ids=["desk"])
def tab(
    browser: Any, address: str, asked: list[str], request: pytest.FixtureRequest
) -> Iterator[Any]:
    """The page, open and ready."""
    context = browser.new_context(viewport=request.param, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(address)
    page.get_by_role("heading", name="perpixel").wait_for()
    page.locator("#picture input[type=file]").wait_for(state="attached")
    yield page
    context.close()


@pytest.fixture
def street(scene: np.ndarray, tmp_path: Path) -> Path:
    file = tmp_path / "street.png"
    Image.fromarray(scene).save(file)
    return file
