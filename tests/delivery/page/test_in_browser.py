"""The page in a browser: the distribution's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from delivery.page.conftest import LARGEST_BYTES, LARGEST_PIXELS
from perpixel.delivery.scenes import draw
from perpixel.inference.predictor import Model

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"no Chromium on the path: none of {', '.join(NAMES)}"
)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
# Milliseconds. Long, because the machine may be busy; nothing waits for all of it.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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


def hand_in(tab: Any, file: Path) -> None:
    tab.locator("#picture input[type=file]").set_input_files(file)


def wait_for_result(tab: Any, name: str) -> None:
    tab.locator("#message", has_text=name).wait_for()
    tab.locator("#overlay img").wait_for()
    tab.wait_for_load_state("networkidle")


def pixels(tab: Any, name: str) -> np.ndarray:
    """A picture of the page, as the browser decoded it, (h, w, 3)."""
    size = tab.evaluate(
        """async (name) => {
            const image = document.querySelector(`#${name} img`);
            await image.decode();
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
            return [canvas.height, canvas.width, Array.from(data)];
        }""",
        name,
    )
    height, width, values = size
    return np.asarray(values, np.uint8).reshape(height, width, 4)[..., :3]


def test_debug(tab: Any, street: Path, asked: list[str]) -> None:
    hand_in(tab, street)
    tab.wait_for_timeout(6000)
    Path("/tmp/page-shots").mkdir(exist_ok=True)
    tab.screenshot(path="/tmp/page-shots/debug.png", full_page=True)
    Path("/tmp/page-shots/debug.html").write_text(tab.content())
    print("\n".join(asked))
