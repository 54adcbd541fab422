"""The page in a browser: what a visitor does, and what is seen then."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from delivery.page.browser.looking import (
    LOSS,
    PHONE,
    far,
    hand_in,
    open_tab,
    present,
    settles,
    wait_for_result,
)
from delivery.page.conftest import EXAMPLES
from perpixel.cli.app import app
from perpixel.delivery.page import pictures
from perpixel.delivery.page.insight import Insight
from perpixel.delivery.page.words import stride_caption, switches
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation


def test_an_image_is_handed_in_and_its_mask_has_the_right_colours(
    tab: Any, street: Path, segmentation: Segmentation
) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png: 133 × 91 pixels")
    expected = pictures.overlay(segmentation, present(segmentation), 0.55)
    settles(tab, "overlay", expected)
    bare = pictures.overlay(segmentation, [], 0.55)
    assert far(np.asarray(expected), bare) > 3 * LOSS


def test_every_class_has_a_switch_with_its_share_and_colour(
    tab: Any, street: Path, segmentation: Segmentation
) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    shown = tab.evaluate(
        """() => [...document.querySelectorAll("#classes input[name]")].map((box) => [
            box.nextElementSibling.innerText.trim(),
            getComputedStyle(box.nextElementSibling, "::before").backgroundColor,
        ])"""
    )
    labels = segmentation.labels
    assert shown == [
        [text, f"rgb{labels.colours[int(value)]}"] for text, value in switches(segmentation)
    ]


def test_a_class_is_switched_off_and_on(tab: Any, street: Path, segmentation: Segmentation) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    largest = switches(segmentation)[0][1]
    box = tab.locator(f'#classes input[name="{largest}"]')
    everything = present(segmentation)
    others = [index for index in everything if index != int(largest)]
    without, whole = (pictures.overlay(segmentation, on, 0.55) for on in (others, everything))
    assert far(np.asarray(whole), without) > 3 * LOSS
    box.uncheck()
    settles(tab, "overlay", without)
    box.check()
    settles(tab, "overlay", whole)


def test_the_mask_is_downloaded_and_is_the_commands(
    tab: Any, street: Path, model_file: Path, tmp_path: Path
) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    with tab.expect_download() as started:
        tab.get_by_role("button", name="Download the mask").click()
    download = started.value
    assert download.suggested_filename == "street.png"
    out = tmp_path / "masks"
    result = CliRunner().invoke(app, ["predict", str(model_file), str(street), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert Path(download.path()).read_bytes() == (out / "street.png").read_bytes()


def test_a_heat_map_of_a_chosen_class(
    tab: Any, street: Path, model: Model, segmentation: Segmentation
) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    tab.get_by_role("tab", name="Heat map").click()
    tab.get_by_label("Class", exact=True).click()
    tab.get_by_role("option", name="tree").click()
    tab.locator("#heat-caption", has_text="tree: highest probability").wait_for()
    index = model.labels.names.index("tree")
    values = Insight(model).probability(segmentation, index, segmentation.mask.shape)
    settles(tab, "heat", pictures.heat(segmentation, values))


def test_the_confidence_is_drawn(tab: Any, street: Path, segmentation: Segmentation) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    tab.get_by_role("tab", name="Confidence").click()
    tab.locator("#confidence img").wait_for()
    settles(tab, "confidence", pictures.confidence(segmentation))


def test_strides_are_compared(
    tab: Any, street: Path, model: Model, segmentation: Segmentation
) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    tab.get_by_role("tab", name="Strides").click()
    tab.get_by_role("button", name="Compare the strides").click()
    expected = pictures.compared(segmentation, Insight(model).masks(segmentation), 0.55)
    for stride, (picture, changed) in expected.items():
        tab.get_by_text(stride_caption(stride, changed)).wait_for()
        tab.locator(f"#stride-{stride} img").wait_for()
        settles(tab, f"stride-{stride}", picture)


def test_an_example_is_taken_and_then_another_image(
    tab: Any, street: Path, model: Model, segmentation: Segmentation
) -> None:
    tab.locator("#examples button").nth(1).click()
    wait_for_result(tab, "example_2.png: 100 × 75 pixels")
    found = model.predict(EXAMPLES[1])
    settles(tab, "overlay", pictures.overlay(found, present(found), 0.55))
    tab.get_by_role("button", name="Remove Image").click()
    tab.locator("#message", has_text="Drop, paste or photograph").wait_for()
    tab.locator("#results").wait_for(state="hidden")
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    settles(tab, "overlay", pictures.overlay(segmentation, present(segmentation), 0.55))


def test_an_image_is_dropped(tab: Any, street: Path) -> None:
    content = base64.b64encode(street.read_bytes()).decode()
    tab.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
            const target = document.querySelector("#picture button[aria-dropeffect]");
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true })
                );
        }""",
        content,
    )
    wait_for_result(tab, "dropped.png: 133 × 91 pixels")


def test_an_image_is_pasted(tab: Any, street: Path) -> None:
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.evaluate(
        """async (content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const image = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
        }""",
        base64.b64encode(street.read_bytes()).decode(),
    )
    tab.get_by_role("button", name="Paste from clipboard").click()
    wait_for_result(tab, "133 × 91 pixels")


def test_an_image_is_photographed(tab: Any) -> None:
    tab.context.grant_permissions(["camera"])
    tab.get_by_role("button", name="Capture from camera").click()
    tab.get_by_title("grant webcam access").click()
    # A camera that has shown nothing yet has nothing to be photographed: the button does nothing.
    tab.wait_for_function("() => document.querySelector('#picture video')?.videoWidth > 0")
    tab.get_by_label("capture photo").click()
    wait_for_result(tab, "mean confidence")


def test_no_request_leaves_the_machine(tab: Any, street: Path, asked: list[str]) -> None:
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    for name in ("Heat map", "Confidence", "Strides", "Classes"):
        tab.get_by_role("tab", name=name).click()
        tab.wait_for_timeout(300)
    tab.locator("#examples button").first.click()
    wait_for_result(tab, "example_1.png")
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert len(asked) > 20
    assert hosts == {"127.0.0.1"}


@pytest.mark.parametrize("tab", [PHONE], ids=["phone"], indirect=True)
def test_a_phone_shows_everything_without_scrolling_sideways(tab: Any, street: Path) -> None:
    def overhang() -> int:
        return int(tab.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    assert overhang() <= 0
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    assert overhang() <= 0
    for name in ("Heat map", "Confidence", "Strides", "Classes"):
        open_tab(tab, name)
        if name == "Strides":
            tab.get_by_role("button", name="Compare the strides").click()
            tab.locator("#stride-8 img").wait_for()
        assert overhang() <= 0
    for part in ("#picture", "#overlay", "#opacity", "#classes", "#download"):
        box = tab.locator(part).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
