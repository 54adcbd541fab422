from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from perpixel.data.augment import (
    Augmentation,
    augment,
    draw_warp,
    jitter_colour,
    saturation_and_hue,
)
from perpixel.preprocessing import LUMA

STILL = Augmentation(
    scale=(1, 1), flip=0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0
)


def still(**values: object) -> Augmentation:
    return Augmentation.model_validate({**STILL.model_dump(), **values})


def vary(
    image: np.ndarray, mask: np.ndarray, config: Augmentation, seed: int = 0, fill: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    fills = np.full(image.shape[0], fill, np.float32)
    return augment(image, mask, config, np.random.default_rng(seed), fills, 255)


def test_nothing_varied_is_the_sample_itself(rng: np.random.Generator) -> None:
    for dtype, bands in ((np.uint8, 3), (np.uint16, 1), (np.float32, 7)):
        image = (rng.random((bands, 17, 23)) * 200).astype(dtype)
        mask = rng.integers(0, 9, (17, 23), np.uint8)
        varied, varied_mask = vary(image, mask, STILL)
        assert varied.dtype == dtype
        np.testing.assert_array_equal(varied, image)
        np.testing.assert_array_equal(varied_mask, mask)


def test_flip_mirrors_columns(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (3, 11, 14), np.uint8)
    mask = rng.integers(0, 9, (11, 14), np.uint16)
    varied, varied_mask = vary(image, mask, still(flip=1.0))
    np.testing.assert_array_equal(varied, image[:, :, ::-1])
    np.testing.assert_array_equal(varied_mask, mask[:, ::-1])


def test_unscaled_crop_is_an_exact_window_and_every_window_occurs(
    rng: np.random.Generator,
) -> None:
    mask = np.arange(6 * 7, dtype=np.uint8).reshape(6, 7)
    image = np.repeat(mask[None], 3, axis=0)
    corners = set()
    for seed in range(200):
        varied, varied_mask = vary(image, mask, still(crop=(4, 5)), seed)
        top, left = divmod(int(varied_mask[0, 0]), 7)
        np.testing.assert_array_equal(varied_mask, mask[top : top + 4, left : left + 5])
        np.testing.assert_array_equal(varied[1], varied_mask)
        corners.add((top, left))
    assert corners == {(top, left) for top in range(3) for left in range(3)}


def test_crop_larger_than_the_image_is_filled_and_ignored(rng: np.random.Generator) -> None:
    image = rng.integers(0, 100, (3, 5, 6), np.uint8)
    mask = rng.integers(0, 9, (5, 6), np.uint8)
    varied, varied_mask = vary(image, mask, still(crop=(9, 10)), seed=3, fill=200.0)
    inside = varied_mask != 255
    assert inside.sum() == 30
    np.testing.assert_array_equal(varied_mask[inside], mask.reshape(-1))
    np.testing.assert_array_equal(varied[:, inside], image.reshape(3, -1))
    assert (varied[:, ~inside] == 200).all()


def reference(image: np.ndarray, mask: np.ndarray, config: Augmentation, seed: int) -> tuple:
    """The same warp pixel by pixel, in pixel centres, without OpenCV."""
    warp = draw_warp(mask.shape, config, np.random.default_rng(seed))
    rows, columns = np.mgrid[: warp.size[0], : warp.size[1]] + 0.5
    x, y = (
        np.einsum("ij,jhw->ihw", warp.matrix, np.stack([columns, rows, np.ones_like(rows)])) - 0.5
    )
    padded = np.pad(image.astype(np.float64), ((0, 0), (1, 2), (1, 2)))
    top = np.clip(np.floor(y).astype(int), -1, mask.shape[0])
    left = np.clip(np.floor(x).astype(int), -1, mask.shape[1])
    dy, dx = np.clip(y - top, 0, 1), np.clip(x - left, 0, 1)
    blend = sum(
        padded[:, top + 1 + a, left + 1 + b] * (dy if a else 1 - dy) * (dx if b else 1 - dx)
        for a in (0, 1)
        for b in (0, 1)
    )
    near_y, near_x = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
    inside = (near_y >= 0) & (near_x >= 0) & (near_y < mask.shape[0]) & (near_x < mask.shape[1])
    nearest = np.full(warp.size, 255)
    nearest[inside] = mask[near_y[inside], near_x[inside]]
    return blend, nearest


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_warp_agrees_with_arithmetic_in_pixel_centres(
    rng: np.random.Generator, seed: int, bands: int
) -> None:
    image = rng.random((bands, 29, 37)).astype(np.float32)
    mask = rng.integers(0, 9, (29, 37), np.uint8)
    config = still(scale=(0.7, 2.5), flip=0.5, rotation=40, crop=(31, 27))
    varied, varied_mask = vary(image, mask, config, seed)
    blend, nearest = reference(image, mask, config, seed)
    # OpenCV may place a sample to 1/32 of a pixel.
    assert np.abs(varied - blend).max() < 0.07
    assert (varied_mask != nearest).mean() < 0.01


@pytest.mark.parametrize("scale", [0.2, 0.34, 0.5, 0.59, 0.61, 1.0, 1.7])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_image_and_mask_stay_aligned_at_every_scale(scale: float, flip: float) -> None:
    # A ramp says in each pixel where it came from; the mask says the same in steps of its own.
    columns = np.arange(255, dtype=np.float32)
    image = np.broadcast_to(columns, (1, 201, 255)).copy()
    mask = np.broadcast_to(columns.astype(np.uint16), (201, 255)).copy()
    config = still(scale=(scale, scale), flip=flip, crop=(20, 20))
    ramp, steps = augment(image, mask, config, np.random.default_rng(1), np.zeros(1, "f4"), 999)
    inside = (steps > 5) & (steps < 250)
    assert inside.any()
    difference = ramp[0][inside] - steps[inside]
    assert np.abs(difference).max() <= 0.55
    # At exactly one half every mask pixel is a tie between two.
    if scale not in (0.5, 1.0):
        assert abs(difference.mean()) < 0.3


def test_scaling_far_down_averages(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (3, 160, 160), np.uint8)
    mask = np.zeros((160, 160), np.uint8)
    varied, _ = vary(image, mask, still(scale=(0.25, 0.25), crop=(40, 40)))
    blocks = image.reshape(3, 40, 4, 40, 4).mean(axis=(2, 4))
    assert np.abs(varied - blocks).max() <= 1


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.none() | st.tuples(st.integers(1, 50), st.integers(1, 50)),
    rotation=st.sampled_from([0.0, 30.0, 180.0]),
    seed=st.integers(0, 1000),
    bands=st.integers(1, 9),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
)
def test_any_sample_gives_the_crop_s_size_and_only_known_values(
    size: tuple[int, int],
    crop: tuple[int, int] | None,
    rotation: float,
    seed: int,
    bands: int,
    dtype: type,
) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.random((bands, *size)) * 255).astype(dtype)
    mask = rng.choice(np.array([3, 200], np.uint8), size)
    config = Augmentation(crop=crop, rotation=rotation, scale=(0.1, 3.0))
    varied, varied_mask = vary(image, mask, config, seed)
    assert varied.shape == (bands, *(crop or size))
    assert varied_mask.shape == (crop or size)
    assert varied.dtype == dtype
    assert varied_mask.dtype == np.uint8
    assert set(np.unique(varied_mask)) <= {3, 200, 255}


def test_same_generator_state_gives_the_same_variation(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (3, 31, 33), np.uint8)
    mask = rng.integers(0, 9, (31, 33), np.uint8)
    first, again, other = (vary(image, mask, Augmentation(rotation=9), s)[0] for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_grey_stays_grey_and_luma_stays_luma_under_saturation_and_hue() -> None:
    matrix = saturation_and_hue(0.3, 0.21)
    np.testing.assert_allclose(matrix @ np.ones(3), 1, atol=1e-3)
    np.testing.assert_allclose(np.array(LUMA) @ matrix, LUMA, atol=1e-12)
    np.testing.assert_allclose(saturation_and_hue(1.0, 0.0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(saturation_and_hue(0.0, 0.4), np.tile(LUMA, (3, 1)), atol=1e-3)
    thirds = saturation_and_hue(1.0, 1 / 3)
    np.testing.assert_allclose(thirds @ thirds @ thirds, np.eye(3), atol=1e-9)


def test_hue_turns_from_red_towards_green() -> None:
    turned = saturation_and_hue(1.0, 0.1) @ np.array([0.6, 0.4, 0.4])
    before, after = colorsys.rgb_to_hsv(0.6, 0.4, 0.4)[0], colorsys.rgb_to_hsv(*turned)[0]
    assert 0.05 < (after - before) % 1 < 0.15


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 3, 6])
def test_brightness_and_contrast_are_linear_about_the_mean(
    rng: np.random.Generator, dtype: type, bands: int
) -> None:
    image = (80 + 40 * rng.random((9, 11, bands))).astype(dtype)
    config = still(brightness=0.3, contrast=0.3)
    varied = jitter_colour(image, config, np.random.default_rng(4))
    draw = np.random.default_rng(4)
    brightness, contrast = draw.uniform(0.7, 1.3), draw.uniform(0.7, 1.3)
    pixels = image.astype(np.float64)
    mean = (pixels @ LUMA).mean() if bands == 3 else pixels.mean()
    expected = brightness * (contrast * pixels + (1 - contrast) * mean)
    assert varied.dtype == dtype
    np.testing.assert_allclose(varied, expected, atol=0.51 if dtype != np.float32 else 1e-3)


def test_colours_saturate_and_never_wrap() -> None:
    image = np.full((4, 4, 3), 250, np.uint8)
    for seed in range(20):
        varied = jitter_colour(image, still(brightness=0.9), np.random.default_rng(seed))
        brightness = np.random.default_rng(seed).uniform(0.1, 1.9)
        assert np.abs(varied - min(255.0, 250 * brightness)).max() <= 0.51


@pytest.mark.parametrize(
    "values",
    [{"scale": (0, 1)}, {"scale": (2, 1)}, {"crop": (0, 4)}, {"flip": 2}, {"hue": 1}, {"blur": 1}],
)
def test_settings_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(values)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**31),
    st.integers(0, 28),
    st.integers(0, 36),
    st.sampled_from([0.0, 30.0]),
    st.floats(1.0, 3.0),
)
def test_the_crop_holds_the_pixel_that_it_should(
    seed: int, row: int, column: int, rotation: float, scale: float
) -> None:
    mask = np.zeros((29, 37), np.uint8)
    mask[row, column] = 7
    config = still(crop=(13, 17), scale=(scale, scale), flip=0.5, rotation=rotation)
    fill = np.zeros(1)
    _, crop = augment(
        mask[None], mask, config, np.random.default_rng(seed), fill, 255, (row, column)
    )
    edge = min(row, column, 28 - row, 36 - column) < 6
    assert (crop == 7).any() or (rotation and edge)


def test_crops_around_a_pixel_still_lie_anywhere_and_in_the_image() -> None:
    mask = np.arange(29 * 37, dtype=np.uint16).reshape(29, 37)
    corners = set()
    for seed in range(400):
        _, crop = augment(
            mask[None],
            mask,
            still(crop=(5, 6)),
            np.random.default_rng(seed),
            np.zeros(1),
            9999,
            (14, 20),
        )
        assert (crop != 9999).all()
        corners.add(divmod(int(crop[0, 0]), 37))
    # All but the outermost starts: the pixel is at least one away from the crop's edge.
    assert corners >= {(top, left) for top in range(11, 14) for left in range(16, 20)}
    assert all(10 <= top <= 14 and 15 <= left <= 20 for top, left in corners)
