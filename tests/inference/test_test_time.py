"""Views of an image at other scales and mirrored are looked up where they would be turned back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perpixel.errors import ConfigError
from perpixel.inference import test_time
from perpixel.inference.test_time import (
    averaged_probabilities,
    averaged_winner,
    mirrored,
    resized,
    seen_from,
)
from perpixel.score_map import ScoreMap

maps = st.builds(
    lambda h, w, height, width, stride, offset, seed: ScoreMap.of(
        torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(seed)),
        (height, width),
        stride,
        offset,
    ),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 23),
    st.integers(1, 23),
    st.sampled_from([None, 1.0, 4.0, (2.5, 7.25)]),
    st.sampled_from([0.0, 1.0, (0.125, -0.75)]),
    st.integers(0, 99),
)


@given(maps)
def test_mirrored_scores_are_the_mirrored_logits(score_map):
    torch.testing.assert_close(
        mirrored(score_map).logits(), score_map.logits().flip(3), atol=1e-4, rtol=1e-4
    )


@given(maps, st.integers(1, 40), st.integers(1, 40))
def test_seen_from_another_size_each_pixel_is_looked_up_at_its_place_in_the_scaled_image(
    score_map, height, width
):
    logits = seen_from(score_map, (height, width)).logits()[0, 0].double()
    scores = score_map.scores[0, 0].double().numpy()
    grids = []
    for pixels, scaled, stride, offset, cells in zip(
        (height, width),
        score_map.size,
        score_map.stride,
        score_map.offset,
        scores.shape,
        strict=True,
    ):
        in_scaled = (np.arange(pixels) + 0.5) * scaled / pixels - 0.5
        grids.append(np.clip((in_scaled + 0.5) / stride - 0.5 + offset, 0, cells - 1))
    rows = np.stack([np.interp(grids[0], np.arange(len(scores)), column) for column in scores.T])
    expected = np.stack([np.interp(grids[1], np.arange(len(rows)), row) for row in rows.T])
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)


def test_seen_from_its_own_size_nothing_changes():
    score_map = ScoreMap.of(torch.randn(1, 3, 4, 5), (15, 17), 4.0, 0.5)
    assert seen_from(score_map, (15, 17)).stride == score_map.stride


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.25, 0.01])
def test_resizing_rounds_to_whole_pixels_and_keeps_at_least_one(scale):
    images = torch.rand(2, 3, 21, 34)
    smaller = resized(images, scale)
    assert tuple(smaller.shape) == (2, 3, max(1, round(21 * scale)), max(1, round(34 * scale)))
    if scale == 1:
        assert smaller is images


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1
    inner = resized(stripes, 0.25)[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("streamed_bytes", [1, 2000, 1 << 25])
def test_probabilities_not_scores_are_averaged_however_they_are_streamed(
    monkeypatch, streamed_bytes
):
    monkeypatch.setattr(test_time, "STREAMED_BYTES", streamed_bytes)
    views = [
        ScoreMap.of(3 * torch.randn(2, 5, h, w), (19, 26)) for h, w in ((3, 4), (5, 7), (19, 26))
    ]
    expected = torch.stack([view.logits().softmax(1) for view in views]).mean(0)
    streamed = torch.cat(list(averaged_probabilities(views)), dim=2)
    torch.testing.assert_close(streamed, expected, atol=1e-5, rtol=1e-4)
    mask, confidence = averaged_winner(views)
    torch.testing.assert_close(confidence, expected.max(1).values, atol=1e-5, rtol=1e-4)
    assert (mask != expected.argmax(1)).float().mean() < 1e-3
    assert mask.dtype == torch.uint8


def test_one_view_is_the_prediction_without_test_time_augmentation(model, picture):
    plain, one = model.predict(picture), model.predict(picture, scales=(1.0,), flip=False)
    np.testing.assert_array_equal(plain.confidence, one.confidence)


def test_with_flips_a_mirrored_image_gets_the_mirrored_prediction(model, picture):
    straight = model.predict(picture, scales=(0.75, 1.0), flip=True)
    turned = model.predict(picture[:, ::-1].copy(), scales=(0.75, 1.0), flip=True)
    np.testing.assert_allclose(turned.confidence[:, ::-1], straight.confidence, atol=1e-5)
    assert (turned.mask[:, ::-1] != straight.mask).mean() < 1e-3


def test_every_scale_and_flip_is_seen_once(model, picture):
    model.predict(picture, scales=(0.75, 1.0, 1.25), flip=True)
    sizes = [tuple(image.shape[2:]) for image in model.network.seen]
    assert sizes == [(32, 46)] * 2 + [(43, 61)] * 2 + [(54, 76)] * 2
    torch.testing.assert_close(model.network.seen[2].flip(3), model.network.seen[3])


def test_several_scales_differ_from_one_and_keep_the_images_size(model, picture):
    several = model.predict(picture, scales=(0.5, 1.0, 1.5))
    assert several.mask.shape == picture.shape[:2]
    assert not np.array_equal(several.confidence, model.predict(picture).confidence)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (float("nan"),), (float("inf"),)])
def test_scales_that_no_image_has_are_refused(model, picture, scales):
    with pytest.raises(ConfigError, match="scales"):
        model.predict(picture, scales=scales)
