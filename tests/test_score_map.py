"""ScoreMap's arithmetic against torch's interpolation and transposed convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.score_map import ScoreMap, lookup


def transposed_bilinear(scores: torch.Tensor, stride: int) -> torch.Tensor:
    """The whole output of the paper's last layer: each class on its own, kernel 2·stride."""
    taps = 1 - ((torch.arange(2 * stride) + 0.5) / stride - 1).abs()
    classes = scores.shape[1]
    kernel = torch.outer(taps, taps).expand(classes, 1, -1, -1).to(scores.dtype)
    return F.conv_transpose2d(scores, kernel, stride=stride, groups=classes)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (3, 129), (64, 1)])
def test_without_a_stride_it_is_interpolation_to_a_size(size: tuple[int, int]) -> None:
    scores = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    expected = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(ScoreMap.of(scores, size).logits(), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    stride=st.sampled_from([1, 2, 4, 8, 16, 32]),
    cells=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    beyond=st.tuples(st.integers(0, 31), st.integers(0, 31)),
)
def test_a_whole_stride_is_interpolation_by_that_factor_cropped(
    stride: int, cells: tuple[int, int], beyond: tuple[int, int]
) -> None:
    scores = torch.randn(1, 2, *cells)
    height, width = (
        stride * count - min(over, stride - 1) for count, over in zip(cells, beyond, strict=True)
    )
    whole = F.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
    found = ScoreMap.of(scores, (height, width), float(stride)).logits()
    torch.testing.assert_close(found, whole[:, :, :height, :width], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("stride", "crop", "offset"), [(32, 19, 3 / 32), (16, 27, 19 / 16), (8, 31, 27 / 8)]
)
def test_the_papers_crop_after_a_transposed_convolution_is_an_offset(
    stride: int, crop: int, offset: float
) -> None:
    scores = torch.randn(2, 3, 6, 9, dtype=torch.float64)
    whole = transposed_bilinear(scores, stride)
    # As far as the paper's crop goes with its 100 pixels of padding around the image.
    height, width = whole.shape[2] - crop - 1, whole.shape[3] - crop - 3
    expected = whole[:, :, crop : crop + height, crop : crop + width]
    assert crop / stride - 0.5 == offset
    ringed = F.pad(scores, (1, 1, 1, 1))
    found = ScoreMap.of(ringed, (height, width), float(stride), offset + 1).logits()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_away_from_the_border_no_ring_is_needed() -> None:
    scores = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    expected = transposed_bilinear(scores, 8)[:, :, 31:47, 31:47]
    found = ScoreMap.of(scores, (16, 16), 8.0, 27 / 8).logits()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_window_is_that_part_of_the_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall = data.draw(st.integers(1, height - top))
    wide = data.draw(st.integers(1, width - left))
    stride = data.draw(st.sampled_from([None, 1.0, 4.0, 32.0, (2.5, 7.0)]))
    offset = data.draw(st.sampled_from([0.0, 3 / 32, (19 / 16, -0.4)]))
    whole = ScoreMap.of(torch.randn(1, 2, 4, 5), (height, width), stride, offset)
    found = whole.window(top, left, tall, wide)
    assert found.size == (tall, wide)
    expected = whole.logits()[:, :, top : top + tall, left : left + wide]
    torch.testing.assert_close(found.logits(), expected, rtol=1e-5, atol=1e-5)


@given(
    pixels=st.integers(1, 300),
    cells=st.integers(1, 40),
    stride=st.floats(0.3, 40),
    offset=st.floats(-5, 5),
)
@settings(deadline=None)
def test_a_lookup_stays_on_the_grid_and_moves_forward(
    pixels: int, cells: int, stride: float, offset: float
) -> None:
    first, second, weight = lookup(pixels, cells, stride, offset)
    assert int(first.min()) >= 0
    assert int(second.max()) < cells
    assert bool(((second - first == 1) | (first == cells - 1)).all())
    assert bool(((weight >= 0) & (weight <= 1)).all())
    place = first + weight.to(torch.float64)
    assert bool((place.diff() >= -1e-6).all())


def test_gradients_are_those_of_interpolation() -> None:
    scores = torch.randn(2, 3, 4, 5, requires_grad=True)
    weights = torch.randn(2, 3, 31, 39)
    (ScoreMap.of(scores, (31, 39), 8.0).logits() * weights).sum().backward()
    found, scores.grad = scores.grad, None
    whole = F.interpolate(scores, scale_factor=8, mode="bilinear", align_corners=False)
    (whole[:, :, :31, :39] * weights).sum().backward()
    torch.testing.assert_close(found, scores.grad, rtol=1e-4, atol=1e-4)


def test_logits_keep_the_scores_type() -> None:
    scores = torch.randn(1, 2, 3, 3).to(torch.bfloat16)
    found = ScoreMap.of(scores, (9, 9)).logits()
    assert found.dtype == torch.bfloat16
    expected = F.interpolate(scores.float(), (9, 9), mode="bilinear").to(torch.bfloat16)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [((1, 2, 3, 3), (0, 5), 1.0), ((1, 2, 3, 3), (5, 5), 0.0), ((1, 2, 0, 3), (5, 5), 1.0)],
)
def test_impossible_maps_are_refused(
    shape: tuple[int, ...], size: tuple[int, int], stride: float
) -> None:
    with pytest.raises(ValueError, match=r"scores|stride"):
        ScoreMap.of(torch.zeros(shape), size, stride)
