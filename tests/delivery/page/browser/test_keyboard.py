"""The page by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delivery.page.browser.looking import open_tab, present, settles, wait_for_result
from delivery.page.conftest import EXAMPLES
from perpixel.delivery.page import pictures
from perpixel.delivery.page.words import switches
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation

FOCUSED = """() => {
    const part = document.activeElement;
    const named = part.closest("#picture, #examples, #opacity, #classes, #download, #heat-class, "
        + "#compare");
    const style = getComputedStyle(part);
    return [
        part.getAttribute("role") === "tab" ? "tab " + part.innerText.trim() : named?.id ?? "",
        part.getAttribute("name") ?? part.getAttribute("aria-label") ?? "",
        part.type ?? "",
        style.outlineStyle !== "none" || style.boxShadow !== "none",
    ];
}"""


def walk_to(tab: Any, part: str, kind: str = "", name: str = "") -> None:
    """Press Tab until the keyboard is at a part of the page."""
    for _ in range(80):
        tab.keyboard.press("Tab")
        where, called, found, marked = tab.evaluate(FOCUSED)
        if where == part and kind in found and name in called:
            assert marked, f"nobody sees that the keyboard is at {part}"
            return
    raise AssertionError(f"the keyboard does not reach {part}")


def choose(tab: Any, file: Path) -> None:
    """Open the upload by keyboard, and choose a file."""
    # Playwright does not wait until the browser hands choosers over: asked for only when Enter is
    # pressed, it may come after the browser's own chooser, which nobody closes.
    tab.on("filechooser", lambda chooser: None)
    walk_to(tab, "picture", "submit")
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    chooser.value.set_files(file)


def test_all_is_reached_and_used_by_keyboard(
    tab: Any, street: Path, model: Model, segmentation: Segmentation
) -> None:
    tab.locator("body").click(position={"x": 2, "y": 2})
    choose(tab, street)
    wait_for_result(tab, "street.png")
    everything = present(segmentation)

    walk_to(tab, "opacity", "range")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    settles(tab, "overlay", pictures.overlay(segmentation, everything, 0.7))

    largest = switches(segmentation)[0][1]
    walk_to(tab, "classes", "checkbox", largest)
    tab.keyboard.press("Space")
    others = [index for index in everything if index != int(largest)]
    settles(tab, "overlay", pictures.overlay(segmentation, others, 0.7))

    walk_to(tab, "download")
    with tab.expect_download() as started:
        tab.keyboard.press("Enter")
    assert Path(started.value.path()).read_bytes() == segmentation.png()

    walk_to(tab, "tab Heat map")
    tab.keyboard.press("Enter")
    walk_to(tab, "heat-class")
    tab.keyboard.type("tree")
    tab.keyboard.press("Enter")
    tab.locator("#heat-caption", has_text="tree: highest probability").wait_for()

    walk_to(tab, "tab Strides")
    tab.keyboard.press("Enter")
    walk_to(tab, "compare")
    tab.keyboard.press("Enter")
    tab.locator("#stride-8 img").wait_for()

    walk_to(tab, "examples")
    tab.keyboard.press("Enter")
    tab.locator("#message", has_text="example_1.png").wait_for()
    open_tab(tab, "Classes")
    found = model.predict(EXAMPLES[0])
    settles(tab, "overlay", pictures.overlay(found, present(found), 0.7))
