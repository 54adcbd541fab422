"""The halo that a model makes use of on an image, found from gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from inference.tiles.tiled import EXACT, made, model_of, pixels
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.effective_halo import BEYOND, effective_halo, radius
from perpixel.inference.tiles.tiled import predict_tiled
from perpixel.inference.tiles.tiler import Read, Tiler


def reading(image: np.ndarray) -> Read:
    """Windows of an image (H, W, bands)."""
    bands = image.transpose(2, 0, 1)
    return lambda top, left, height, width: bands[:, top : top + height, left : left + width]


def proposed(model: Model, image: np.ndarray) -> int | None:
    return effective_halo(Tiler.of(model), image.shape[:2], reading(image))


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 999),
    beyond=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
)
def test_the_radius_is_the_smallest_square_that_leaves_so_little_outside(
    rows: int, columns: int, seed: int, beyond: float
) -> None:
    rng = np.random.default_rng(seed)
    dependence = (rng.random((rows, columns)) ** 6).astype(np.float32)
    y, x = int(rng.integers(rows)), int(rng.integers(columns))
    for smallest in range(max(rows, columns)):
        inside = dependence[max(y - smallest, 0) : y + smallest + 1]
        inside = inside[:, max(x - smallest, 0) : x + smallest + 1]
        if inside.sum() >= (1 - beyond) * dependence.sum() * (1 - 1e-6):
            break
    found = radius(dependence, (y, x), beyond)
    # Where a ring holds next to nothing, rounding decides.
    outside = dependence.sum() - inside.sum()
    assert found == smallest or outside == pytest.approx(beyond * dependence.sum(), abs=1e-5)


def test_the_proposal_is_a_multiple_of_the_grid_below_the_exact_halo() -> None:
    model = model_of("segnet-basic")
    geometry = Tiler.of(model).geometry
    found = proposed(model, pixels(300, 220))
    assert found is not None
    assert 0 < found < geometry.halo
    assert found % geometry.grid == 0


def test_a_network_that_makes_no_use_of_the_pixels_around_needs_less() -> None:
    model = made(EXACT["segnet-basic"][0])
    image = pixels(300, 220)
    before = proposed(model, image)
    with torch.no_grad():
        for layer in model.network.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1):
                middle = layer.weight[:, :, 3:4, 3:4].clone()
                layer.weight.zero_()
                layer.weight[:, :, 3:4, 3:4] = middle
    after = proposed(model, image)
    assert before is not None
    assert after is not None
    assert after < before


def test_the_mean_of_the_image_is_no_reason_for_a_large_halo() -> None:
    # Tiles are given it: what is far matters through it only.
    model = model_of("fcn4s-context")
    found = proposed(model, pixels(400, 300))
    assert found is not None
    assert found < Tiler.of(model).geometry.halo


def test_tiles_with_the_proposed_halo_are_near_the_whole_image() -> None:
    model = model_of("segnet-basic")
    image = pixels(300, 220)
    tiles = predict_tiled(model, image, tile=64, halo=proposed(model, image))
    assert tiles.plan.shown_pixels < predict_tiled(model, image, tile=64).plan.shown_pixels
    assert (tiles.mask != model.predict(image).mask).mean() < BEYOND
