"""Switches, captions and messages, and that no name becomes markup."""

from __future__ import annotations

import re

import numpy as np
import pytest

from perpixel.delivery.page import words
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

BAD = '<img src=x onerror="alert(1)">'
LABELS = LabelSpace(
    names=("road", BAD, "never", "tree"),
    colours=((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)),
    ignore_index=255,
)


@pytest.fixture
def found() -> Segmentation:
    """Of 20 pixels 5 are road, 1 is bad, 10 are tree, 4 have no label."""
    mask = np.repeat(np.array([0, 1, 3, 255], np.uint8), [5, 1, 10, 4]).reshape(4, 5)
    confidence = np.full((4, 5), 0.75, np.float32)
    return Segmentation(mask, LABELS, np.zeros((3, 4, 5), np.uint8), confidence)


def test_switches_have_the_share_of_each_class_that_is_there(found: Segmentation) -> None:
    assert words.switches(found) == [
        ("tree · 62.5 %", "3"),
        ("road · 31.2 %", "0"),
        (f"{BAD} · 6.2 %", "1"),
    ]


def test_shares_of_all_switches_are_the_areas(found: Segmentation) -> None:
    areas = found.areas()
    for text, value in words.switches(found):
        share = float(re.search(r"([\d.]+) %$", text)[1])  # type: ignore[index]
        assert share == pytest.approx(100 * areas[LABELS.names[int(value)]], abs=0.051)


def test_swatches_have_the_classes_colours() -> None:
    style = words.swatches(LABELS, ["3", "0"])
    rules = re.findall(r'input\[name="(\d+)"\] \+ span::before { background: rgb\(([^)]*)\)', style)
    assert rules == [("3", "10, 11, 12"), ("0", "1, 2, 3")]


def test_a_summary_counts_what_is_there(found: Segmentation) -> None:
    text = words.summary("a.png", found)
    assert "a.png: 5 × 4 pixels, 3 classes, mean confidence 0.75." in text


@pytest.mark.parametrize(
    "make",
    [
        words.message,
        words.refusal,
        lambda text: words.heat_caption(text, 0.5, 0.5),
        lambda text: words.scale("viridis", text, text),
    ],
)
def test_no_name_becomes_markup(make: object, found: Segmentation) -> None:
    assert callable(make)
    assert "<img" not in make(BAD)
    assert "&lt;img" in make(BAD)
    assert "<img" not in words.summary(BAD, found)


def test_what_went_wrong_is_read_out_at_once() -> None:
    assert 'role="alert"' in words.refusal("x")
    assert 'role="status"' in words.message("x")


def test_a_stride_says_what_it_changed() -> None:
    assert words.stride_caption(32, None) == "Stride 32: the deepest level alone"
    assert words.stride_caption(16, 0.123) == "Stride 16: its skip changed 12.3 %"
    assert "<0.1 %" in words.stride_caption(8, 1e-5)
