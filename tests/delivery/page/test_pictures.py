"""Which pixels have which colour, for which switches."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from perpixel.delivery.explain.sheet import OPACITY, pale
from perpixel.delivery.page import pictures
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

LABELS = LabelSpace(
    names=("a", "b", "c"), colours=((200, 0, 0), (0, 200, 0), (0, 0, 200)), ignore_index=255
)
HEIGHT, WIDTH = 361, 403


@pytest.fixture
def found() -> Segmentation:
    """Three stripes on noise, larger than what would be enlarged."""
    rng = np.random.default_rng(2)
    mask = np.repeat(np.arange(3), [150, 140, WIDTH - 290])[None].repeat(HEIGHT, axis=0)
    return Segmentation(
        mask=mask.astype(np.uint8),
        labels=LABELS,
        image=rng.integers(0, 256, (3, HEIGHT, WIDTH)).astype(np.uint8),
        confidence=rng.random((HEIGHT, WIDTH), np.float32),
    )


def inside(mask: np.ndarray) -> np.ndarray:
    """Pixels of the first rows, away from borders and from the names in the middle."""
    chosen = np.zeros(mask.shape, bool)
    chosen[:20] = True
    for border in (150, 290):
        chosen[:, border - 3 : border + 3] = False
    return chosen


@pytest.mark.parametrize("opacity", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("shown", [[], [1], [0, 2], [0, 1, 2]])
def test_classes_that_are_on_have_their_colour_and_others_show_the_image(
    found: Segmentation, shown: list[int], opacity: float
) -> None:
    picture = np.asarray(pictures.overlay(found, shown, opacity), np.float64)
    image = found.image.transpose(1, 2, 0).astype(np.float64)
    colours = np.asarray(LABELS.colours, np.float64)[found.mask]
    on = np.isin(found.mask, shown)[..., None]
    expected = np.where(on, opacity * colours + (1 - opacity) * image, image)
    chosen = inside(found.mask)
    assert np.abs(picture - expected)[chosen].max() <= 1


def test_the_result_is_not_changed_by_drawing_it(found: Segmentation) -> None:
    before = found.mask.copy()
    pictures.overlay(found, [1], 0.5)
    assert np.array_equal(found.mask, before)


def test_a_hidden_class_has_no_border_to_another_hidden_one(found: Segmentation) -> None:
    picture = np.asarray(pictures.overlay(found, [], 1.0))
    assert np.array_equal(picture, found.image.transpose(1, 2, 0))


def test_an_opacity_outside_0_to_1_is_refused(found: Segmentation) -> None:
    with pytest.raises(ValueError, match="opacity"):
        pictures.overlay(found, [0], 1.2)


def test_heat_is_laid_on_the_pale_image(found: Segmentation) -> None:
    values = np.random.default_rng(4).random((HEIGHT, WIDTH), np.float32)
    picture = np.asarray(pictures.heat(found, values), np.float64)
    colours = matplotlib.colormaps["viridis"](values)[..., :3] * 255
    ground = pale(np.ascontiguousarray(found.image.transpose(1, 2, 0)))
    assert np.abs(picture - (OPACITY * colours + (1 - OPACITY) * ground)).max() <= 2


def test_confidence_is_lighter_where_the_model_is_surer(found: Segmentation) -> None:
    picture = np.asarray(pictures.confidence(found), np.float64)
    colours = matplotlib.colormaps["cividis"](found.confidence)[..., :3] * 255
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(picture - colours).max() <= 2


def test_small_results_are_enlarged_and_large_ones_shrunk(found: Segmentation) -> None:
    small = replace(
        found,
        mask=found.mask[:50, :70],
        image=found.image[:, :50, :70],
        confidence=found.confidence[:50, :70],
    )
    assert pictures.overlay(small, [0], 0.5).size == (70 * 6, 50 * 6)
    assert pictures.confidence(small).size == (70 * 6, 50 * 6)
    assert pictures.shown_size(small) == (50, 70)
    large = replace(
        found,
        mask=found.mask.repeat(7, axis=0).repeat(5, axis=1),
        image=found.image.repeat(7, axis=1).repeat(5, axis=2),
        confidence=found.confidence.repeat(7, axis=0).repeat(5, axis=1),
    )
    height, width = pictures.shown_size(large)
    assert max(height, width) == 1200
    assert pictures.overlay(large, [0], 0.5).size == (width, height)
    assert pictures.confidence(large).size == (width, height)


def test_a_comparison_says_what_share_each_stride_changed(found: Segmentation) -> None:
    rng = np.random.default_rng(6)
    coarse = rng.integers(0, 3, found.mask.shape).astype(np.uint8)
    masks = {32: coarse, 16: coarse, 8: found.mask}
    compared = pictures.compared(found, masks, 0.5)
    assert [changed for _, changed in compared.values()] == [
        None,
        0.0,
        pytest.approx((coarse != found.mask).sum() / coarse.size),
    ]
    whole = np.asarray(pictures.overlay(found, [0, 1, 2], 0.5))
    assert np.array_equal(np.asarray(compared[8][0]), whole)
    assert not np.array_equal(np.asarray(compared[16][0]), whole)
