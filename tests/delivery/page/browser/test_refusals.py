"""What the page says about files that it does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from delivery.page.browser.looking import hand_in, wait_for_result
from delivery.page.conftest import LARGEST_BYTES, LARGEST_PIXELS


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
