"""Drawn scenes: the same for the same numbers, exact in their masks, and varied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.delivery.canvas import MATERIALS, Canvas
from perpixel.delivery.scenes import CLASSES, HEIGHT, WIDTH, draw


def test_a_scene_follows_from_seed_and_index_alone() -> None:
    image, mask = draw(3, 7)
    for other in range(5):
        draw(other, other)
    again_image, again_mask = draw(3, 7)
    assert np.array_equal(image, again_image)
    assert np.array_equal(mask, again_mask)


def test_other_seeds_and_indices_are_other_scenes() -> None:
    masks = [draw(seed, index)[1] for seed in range(3) for index in range(3)]
    assert len({mask.tobytes() for mask in masks}) == 9


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 10**6),
    height=st.integers(40, 170),
    width=st.integers(40, 170),
)
def test_any_scene_of_any_size_has_known_classes_only(
    seed: int, index: int, height: int, width: int
) -> None:
    image, mask = draw(seed, index, height, width)
    assert image.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert CLASSES.strangers(mask) == []


def test_every_class_is_common_enough_to_be_learnt() -> None:
    masks = np.stack([draw(0, index)[1] for index in range(60)])
    shares = CLASSES.pixels_by_class(masks) / masks.size
    assert shares.min() > 0.01
    scenes_with = [(masks == index).any(axis=(1, 2)).mean() for index in range(CLASSES.classes)]
    assert min(scenes_with) > 0.6


def test_the_size_is_no_multiple_of_a_stride() -> None:
    assert all(size % 4 for size in (HEIGHT,))
    assert WIDTH % 32


def test_the_mask_is_what_was_drawn_to_the_pixel() -> None:
    canvas = Canvas(30, 40, np.random.default_rng(0))
    canvas.box(0, 0, 39, 29, (90, 120, 60), "grass")
    canvas.box(5, 3, 9, 20, (200, 40, 40), "lacquer")
    canvas.shadow(20, 20, (8, 4), 0.9)
    _, mask = canvas.finish((1.0, 1.0, 1.0))
    expected = np.full((30, 40), CLASSES.names.index("ground"), np.uint8)
    expected[3:21, 5:10] = CLASSES.names.index("vehicle")
    assert np.array_equal(mask, expected)


def test_a_shadow_darkens_and_ends_inside_its_ellipse() -> None:
    canvas = Canvas(31, 41, np.random.default_rng(0))
    canvas.colour[:] = 100
    canvas.shadow(20, 15, (8, 4), 0.5)
    shaded = canvas.colour[..., 0] < 100
    rows, columns = np.nonzero(shaded)
    assert canvas.colour[15, 20, 0] == pytest.approx(50)
    assert (((rows - 15) / 4) ** 2 + ((columns - 20) / 8) ** 2 <= 1.0).all()


def test_every_material_belongs_to_a_class_and_every_class_has_one() -> None:
    assert {material.label for material in MATERIALS.values()} == set(CLASSES.names)
