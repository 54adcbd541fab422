"""What tests do at the page: they hand an image in, wait, and look at pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.inference.segmentation import Segmentation

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
# Milliseconds. Long, because the machine may be busy; nothing waits for all of it.
PATIENCE = 60_000


def hand_in(tab: Any, file: Path) -> None:
    tab.locator("#picture input[type=file]").set_input_files(file)


def wait_for_result(tab: Any, name: str) -> None:
    tab.locator("#message", has_text=name).wait_for()
    tab.locator("#overlay img").wait_for()


def pixels(tab: Any, name: str) -> np.ndarray:
    """A picture of the page, as the browser decoded it, (h, w, 3)."""
    size = tab.evaluate(
        """async (name) => {
            const find = () => document.querySelector(`#${name} img`);
            let image = find();
            // A picture that is exchanged for the next one meanwhile cannot be decoded any more.
            while (!(await image.decode().then(() => true, () => false))) {
                await new Promise((later) => setTimeout(later, 50));
                image = find();
            }
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


def far(picture: np.ndarray, expected: Any) -> float:
    """The mean difference of two pictures; the page's are compressed with a little loss."""
    wanted = np.asarray(expected, np.float64)
    assert picture.shape == wanted.shape
    return float(np.abs(picture - wanted).mean())


LOSS = 4.0


def settles(tab: Any, name: str, expected: Any) -> None:
    """Wait until a picture of the page is the expected one."""
    waited_until = time.monotonic() + PATIENCE / 1000
    while True:
        difference = far(pixels(tab, name), expected)
        if difference < LOSS:
            return
        assert time.monotonic() < waited_until, f"{name} differs by {difference:.1f}"
        tab.wait_for_timeout(100)


def present(found: Segmentation) -> list[int]:
    return np.unique(found.mask).tolist()


def open_tab(tab: Any, name: str) -> None:
    """Where there is no room for all tabs, the others are in a menu."""
    if not tab.get_by_role("tab", name=name).is_visible():
        tab.get_by_role("button", name="More tabs").click()
        tab.get_by_role("button", name=name).click()
    else:
        tab.get_by_role("tab", name=name).click()
