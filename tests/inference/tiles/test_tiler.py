"""Every network: tiles give the mask and the scores of the whole image."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from inference.tiles.tiled import EXACT, WHOLE, assert_agrees, model_of, pixels
from perpixel.data.source import ArraySource
from perpixel.errors import ConfigError, ModelError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import Runtime, TorchRuntime
from perpixel.inference.runtimes.choice import AutoRuntime, Candidate
from perpixel.inference.tiles.tile_size import Footprint, Tiling, choose
from perpixel.inference.tiles.tiled import predict_tiled
from perpixel.inference.tiles.tiler import Tiler
from perpixel.labels import LabelSpace
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


@pytest.mark.parametrize("name", EXACT)
def test_tiles_score_as_the_whole_image(name: str) -> None:
    model = model_of(name)
    halo = Tiler.of(model).geometry.halo

    @settings(
        max_examples=EXACT[name][1],
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def agrees(data: st.DataObject) -> None:
        # One axis is longer than two halos, so that there are tiles that see no border.
        long = 2 * halo + data.draw(st.integers(halo // 2, halo))
        short = data.draw(st.integers(33, 70))
        # Small tiles are as exact, but there are many of them, and all are shown their halo.
        tile = data.draw(st.integers(halo // 2, halo)), data.draw(st.integers(20, 60))
        if data.draw(st.booleans()):
            size, tile = (short, long), (tile[1], tile[0])
        else:
            size = (long, short)
        assert_agrees(model, pixels(*size), tile, data.draw(st.integers(1, 3)))

    agrees()


def test_a_prediction_of_tiles_is_that_of_the_whole_image() -> None:
    model = model_of("fcn4s")
    image = pixels(300, 75)
    tiled, whole = predict_tiled(model, image, tile=(90, 64)), model.predict(image)
    assert tiled.exact
    assert tiled.disagreement is None
    assert tiled.mask.dtype == whole.mask.dtype
    assert (tiled.mask == whole.mask).mean() > 0.999
    np.testing.assert_allclose(tiled.confidence, whole.confidence, atol=1e-3)
    np.testing.assert_array_equal(tiled.image, whole.image)


@pytest.mark.parametrize("name", ["fcn4s", "fcn8s-vgg16", "segnet", "unet-padded"])
def test_two_grids_less_are_not_enough(name: str) -> None:
    model = model_of(name)
    tiler = Tiler.of(model)
    geometry = tiler.geometry
    height = 2 * geometry.halo + 4 * geometry.grid
    image, middle = pixels(height, 40), geometry.halo // geometry.grid + 1
    whole = model.views([image.transpose(2, 0, 1)], names=["image"])[0].logits()

    def worst(plan: Any) -> float:
        found = 0.0
        for tile in plan:
            top, left, high, wide = tile.source
            part = image[top : top + high, left : left + wide].transpose(2, 0, 1)
            (score_map,) = tiler.step([tile], [part])
            rows = slice(tile.core.top, tile.core.top + tile.core.height)
            found = max(found, float((score_map.logits() - whole[:, :, rows]).abs().max()))
        return found

    assert worst([tiler.plan((height, 40), (geometry.grid, 64))[middle]]) < 1e-4
    tile = tiler.plan((height, 40), (geometry.grid, 64))[middle]
    grids = geometry.grid * 2
    near = replace(tile.rows, begin=tile.rows.begin + grids, end=tile.rows.end - grids)
    assert worst([replace(tile, rows=near)]) > 1e-4


@pytest.mark.parametrize("name", WHOLE)
def test_a_layer_that_sees_the_whole_image_is_named_and_tiles_are_blended(name: str) -> None:
    model = model_of(name)
    image = np.repeat(np.repeat(pixels(24, 12), 16, 0), 16, 1)
    tiled = predict_tiled(model, image, tile=128)
    assert not tiled.exact
    assert tiled.inexact_layer is not None
    assert str(model.network.whole_image_layer).startswith(tiled.inexact_layer)
    assert tiled.plan.overlap == 32
    whole = model.predict(image)
    agreement = float((tiled.mask == whole.mask).mean())
    assert agreement > 0.95
    # Without tiles there is nothing to blend.
    alone = predict_tiled(model, image, tile=1000)
    assert alone.exact
    assert (alone.mask == whole.mask).mean() > 0.999


def test_a_blend_of_exact_tiles_is_exact() -> None:
    model = model_of("fcn4s")
    tiler = Tiler.of(model)
    image = pixels(300, 150)

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[top : top + height, left : left + width].transpose(2, 0, 1)

    whole = model.views([image.transpose(2, 0, 1)], names=["image"])[0].logits()
    plan = tiler.geometry.plan((300, 150), 64, overlap=16)
    skipped = {0, 1, 2, 7}
    seen = []
    for tile, score_map in tiler.scores(plan, read, skip=skipped):
        top, left, height, width = tile.core
        part = whole[:, :, top : top + height, left : left + width]
        torch.testing.assert_close(score_map.logits(), part, rtol=0, atol=1e-4)
        seen.append(tile.index)
    assert seen == [index for index in range(len(plan)) if index not in skipped]


def test_skipped_tiles_are_not_read() -> None:
    model, read = model_of("fcn4s"), []
    tiler = Tiler.of(model)
    plan = tiler.plan((200, 64), 64)

    def reading(top: int, left: int, height: int, width: int) -> np.ndarray:
        read.append((top, left, height, width))
        return np.zeros((3, height, width), np.uint8)

    found = [tile.index for tile, _ in tiler.scores(plan, reading, skip={0, 2})]
    assert found == [1, 3]
    assert read == [plan[1].source, plan[3].source]


def test_the_mean_counts_every_cell_of_the_canvas_once() -> None:
    model = model_of("deeplabv3plus")
    network: Any = model.network
    image = pixels(301, 45)
    tiler = Tiler.of(model)
    plan = tiler.plan((301, 45), (64, 32))

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[top : top + height, left : left + width].transpose(2, 0, 1)

    found = tiler.mean(plan, read)
    with torch.inference_mode():
        batch = model.preprocessing(torch.from_numpy(image.transpose(2, 0, 1))[None])
        features = network.backbone(network.canvas.pad(batch))[network.grid]
    assert found is not None
    torch.testing.assert_close(found, features.mean((2, 3), keepdim=True), rtol=1e-4, atol=1e-5)


def test_a_smaller_halo_says_how_much_it_differs() -> None:
    model = model_of("segnet-basic")
    image = pixels(400, 100)
    exact = predict_tiled(model, image, tile=64)
    small = predict_tiled(model, image, tile=64, halo=4)
    assert exact.disagreement is None
    assert not small.exact
    assert small.disagreement is not None
    assert small.disagreement.tiles == 4
    assert 0 < small.disagreement.share < 0.5
    assert 0 < (small.mask != exact.mask).mean() < 0.5
    assert small.plan.shown_pixels < exact.plan.shown_pixels
    # A halo that holds all that is seen changes nothing.
    assert predict_tiled(model, image, tile=64, halo=1000).exact


def test_grey_images_and_missing_values_are_seen_as_in_the_whole_image() -> None:
    model = model_of("fcn4s")
    image = np.random.default_rng(0).random((150, 70), np.float32)
    image[20:60, 10:30] = np.nan
    tiled = predict_tiled(model, image, tile=64)
    assert (tiled.mask == model.predict(image).mask).mean() > 0.999


@pytest.mark.parametrize(("tile", "halo"), [(0, None), ((32, -1), None), (32, -1)])
def test_wrong_sizes_are_refused(tile: Any, halo: int | None) -> None:
    with pytest.raises(ConfigError, match="expected pixels"):
        predict_tiled(model_of("fcn4s"), pixels(40, 40), tile=tile, halo=halo)


def test_networks_that_do_not_say_their_canvas_are_refused() -> None:
    class Other(nn.Module):
        def forward(self, images: torch.Tensor) -> ScoreMap:
            return ScoreMap.of(images, (images.shape[2], images.shape[3]))

    labels = LabelSpace.of(["a", "b", "c"])
    model = Model(Other(), labels, Preprocessing(), torch.device("cpu"))
    with pytest.raises(ModelError, match="does not say what its canvas is"):
        predict_tiled(model, pixels(40, 40), tile=32)


def test_only_torch_can_be_given_parts_of_some_networks() -> None:
    class Elsewhere:
        name, precision = "openvino", "fp32"

        def scores(self, batch: torch.Tensor) -> ScoreMap:
            raise AssertionError

    for name, reason in (("unet", "92 pixels"), ("deeplabv3", "atrous.pooled")):
        model = copy.copy(model_of(name))
        model.runtime = Elsewhere()  # type: ignore[assignment]
        with pytest.raises(ConfigError, match=reason):
            predict_tiled(model, pixels(40, 40), tile=32)


def test_an_axis_that_fits_whole_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiler = Tiler.of(model_of("fcn4s"))
    grid, halo = tiler.geometry.grid, tiler.geometry.halo
    size = 3 * grid + 5, 4 * halo + 40 * grid
    image = np.zeros((3, *size), np.uint8)
    source = ArraySource(Path("a.npy"), image, image.dtype, 0)
    room = tiler.geometry.network.canvas.length(size[0]) * (2 * halo + 20 * grid)
    monkeypatch.setattr(Footprint, "pixels", lambda *_: room)
    plan, _ = choose(tiler, source, Tiling(), lambda *window: image)
    assert len(plan.rows) == 1
    assert 1 < len(plan.columns) <= -(-size[1] // (18 * grid))
    # Also where it is shorter than the grid.
    thin = ArraySource(Path("a.npy"), image[:, :5], image.dtype, 0)
    plan, _ = choose(tiler, thin, Tiling(), lambda *window: image)
    assert len(plan.rows) == 1


def test_where_the_runtime_was_left_open_torch_is_given_the_parts() -> None:
    model = copy.copy(model_of("deeplabv3"))

    def refused() -> Runtime:
        raise AssertionError("made, and measured")

    candidates = [
        Candidate("openvino", "bf16", refused),
        Candidate("torch", "fp32", lambda: TorchRuntime(model.network, model.device)),
    ]
    model.runtime = AutoRuntime(candidates, reason="", about={}, bands=3, device=model.device)
    image = pixels(90, 40)
    expected = predict_tiled(model_of("deeplabv3"), image, tile=32)
    np.testing.assert_array_equal(predict_tiled(model, image, tile=32).mask, expected.mask)
    choice = Tiler.of(model).model.choice
    assert (choice.runtime, choice.precision) == ("torch", "fp32")
    assert "parts of an image" in choice.reason


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    model = model_of("deeplabv3")
    modules = list(model.network.modules())
    model.network.train(training)
    try:
        predict_tiled(model, pixels(90, 40), tile=32)
        assert {module.training for module in modules} == {training}
        assert not any(module._forward_pre_hooks for module in modules)
    finally:
        model.network.eval()
