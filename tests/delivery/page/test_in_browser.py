"""The page in a browser: the distribution's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from delivery.page.conftest import EXAMPLES, LARGEST_BYTES, LARGEST_PIXELS
from perpixel.cli.app import app
from perpixel.delivery.page import pictures
from perpixel.delivery.page.insight import Insight
from perpixel.delivery.page.words import stride_caption, switches
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"no Chromium on the path: none of {', '.join(NAMES)}"
)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 400, "height": 800}
# The camera is a drawn one.
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Milliseconds. Long, because the machine may be busy; nothing waits for all of it.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
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
    tab.get_by_label("capture photo").click()
    wait_for_result(tab, "mean confidence")


def refused(tab: Any) -> str:
    """What the page says about a file that it does not take."""
    tab.get_by_role("alert").first.wait_for()
    return said(tab)


def said(tab: Any) -> str:
    """All text of a page without a result, in which there is nothing about the server."""
    tab.locator("#results").wait_for(state="hidden")
    text = str(tab.locator("body").inner_text())
    for never in ("Traceback", "/tmp", "site-packages", 'File "'):
        assert never not in text
    return text


def test_a_corrupt_file_is_answered_with_a_readable_message(tab: Any, tmp_path: Path) -> None:
    file = tmp_path / "holiday.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing of the kind" * 20)
    hand_in(tab, file)
    assert "holiday.png: a truncated image: the file ends before" in refused(tab)


def test_half_a_file_is_answered_with_a_readable_message(
    tab: Any, street: Path, tmp_path: Path
) -> None:
    file = tmp_path / "half.png"
    file.write_bytes(street.read_bytes()[:2000])
    hand_in(tab, file)
    assert "half.png: a truncated image: the file ends before the picture does" in refused(tab)


def test_too_many_pixels_are_answered_with_a_readable_message(tab: Any, tmp_path: Path) -> None:
    file = tmp_path / "big.png"
    Image.new("RGB", (LARGEST_PIXELS // 100 + 1, 100)).save(file)
    hand_in(tab, file)
    assert "big.png: an image of 4001 × 100 pixels; expected at most 0.4 megapixels" in refused(tab)


def test_too_many_bytes_are_answered_with_a_readable_message(tab: Any, tmp_path: Path) -> None:
    file = tmp_path / "heavy.bmp"
    side = int((LARGEST_BYTES / 3) ** 0.5) + 30
    Image.new("RGB", (side, side)).save(file)
    assert file.stat().st_size > LARGEST_BYTES
    hand_in(tab, file)
    # Gradio's own message: the file is not even sent.
    tab.get_by_text("exceed the maximum allowed size").wait_for()
    assert "heavy.bmp" in said(tab)


def test_a_good_image_follows_a_bad_one(tab: Any, street: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.png"
    file.write_bytes(b"bad")
    hand_in(tab, file)
    refused(tab)
    # The file is put away, and what was wrong with it stays to be read.
    tab.locator("#picture img").wait_for(state="detached")
    tab.wait_for_timeout(1000)
    text = refused(tab)
    assert "bad.png: no image" in text
    assert "Error" not in text
    hand_in(tab, street)
    wait_for_result(tab, "street.png")
    assert tab.get_by_role("alert").count() == 0


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


def open_tab(tab: Any, name: str) -> None:
    """Where there is no room for all tabs, the others are in a menu."""
    if not tab.get_by_role("tab", name=name).is_visible():
        tab.get_by_role("button", name="More tabs").click()
        tab.get_by_role("button", name=name).click()
    else:
        tab.get_by_role("tab", name=name).click()


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
