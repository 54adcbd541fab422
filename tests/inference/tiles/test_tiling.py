"""Tiles cover every pixel once, and are shown what their cells see: sizes without a network."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perpixel.inference.tiles.axis import Axis
from perpixel.inference.tiles.tiling import TilePlan
from perpixel.networks.canvas import Canvas
from perpixel.networks.span import Span
from perpixel.score_map import lookup

many = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Layer:
    """A convolution along one axis."""

    kernel: int
    stride: int
    padding: int

    def cells(self, places: int) -> int:
        return (places + 2 * self.padding - self.kernel) // self.stride + 1


def drawn(data: st.DataObject, most: int = 250) -> Axis:
    """A chain of convolutions on a canvas, and an image."""
    # No strategy of its own: shape checks use random numbers, which strategies must not.
    draw = data.draw
    same = draw(st.booleans())
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        stride = draw(st.sampled_from([1, 2, 2, 3]))
        padding = draw(st.integers(0, 3)) if same else 0
        layers.append(Layer(2 * padding + 1 if same else draw(st.integers(1, 6)), stride, padding))
    grid = int(np.prod([layer.stride for layer in layers]))
    span = Span.of_image()
    for layer in layers:
        span = span.strided(range(layer.kernel), layer.stride, layer.padding)
    margin = 0 if same else span.size
    kind = draw(st.sampled_from(["alone", "grid", "mirrored"]))
    before = after = margin
    if kind == "alone":
        canvas = Canvas(before, after)
    elif kind == "grid":
        canvas = Canvas(before, after, 0, grid)
    else:
        canvas = Canvas(before, after, span.size + 3, grid, mirrored=True)
    pixels = draw(st.integers(1, most))
    cells = canvas.length(pixels)
    for layer in layers:
        cells = layer.cells(cells)
    spread = draw(st.booleans()) and same
    stride = Fraction(pixels, cells) if spread else Fraction(grid)
    offset = Fraction(0) if spread else Fraction(draw(st.integers(-16, 16)), 32)
    # Seen in pixels of the image, which lies behind what comes before it.
    seen = Span(span.pixels, tuple(c and (c[0] - before, c[1] - before) for c in span.cells))
    return Axis(pixels, canvas, grid, cells, seen, stride, offset)


@many
@given(st.data(), st.integers(3, 150), st.none() | st.integers(0, 80), st.integers(0, 40))
def test_every_pixel_is_answered_for_once_and_windows_lie_on_the_grid(
    data: st.DataObject, tile: int, halo: int | None, overlap: int
) -> None:
    axis = drawn(data)
    cuts = axis.cuts(tile, halo, overlap)
    assert [cut.start for cut in cuts] == [0, *(cut.stop for cut in cuts[:-1])]
    assert cuts[-1].stop == axis.pixels
    for cut in cuts:
        assert 0 < cut.stop - cut.start <= -(-tile // axis.grid) * axis.grid
        assert 0 <= cut.begin < cut.end <= axis.places
        assert cut.begin % axis.grid == 0
        assert (axis.places - cut.end) % axis.grid == 0
        first, last = axis.looked_up(cut.start, cut.stop)
        assert cut.first_cell <= first <= last < cut.first_cell + cut.cells


@many
@given(st.data(), st.integers(3, 150))
def test_a_tile_is_shown_all_that_its_cells_see_and_no_grid_more(
    data: st.DataObject, tile: int
) -> None:
    axis = drawn(data)
    for cut in axis.cuts(tile):
        first, last = axis.looked_up(cut.start, cut.stop)
        seen = [axis.span.sees(cell) for cell in range(first, last + 1)]
        begin = max(min(one[0] for one in seen if one) + axis.canvas.before, 0)
        end = min(max(one[1] for one in seen if one) + 1 + axis.canvas.before, axis.places)
        # One pixel of the image is shown even where the cells see none.
        begin = min(begin, axis.canvas.before + axis.pixels - 1)
        end = max(end, axis.canvas.before + 1)
        assert begin - axis.grid < cut.begin <= begin
        assert end <= cut.end < end + axis.grid


@many
@given(st.data(), st.integers(3, 150))
def test_a_tile_looks_up_the_cells_of_the_whole_image(data: st.DataObject, tile: int) -> None:
    axis = drawn(data)
    stride = float(axis.stride)
    first, _, weight = lookup(axis.pixels, axis.cells, stride, float(axis.offset))
    whole = first + weight
    for cut in axis.cuts(tile):
        first, _, weight = lookup(cut.stop - cut.start, cut.cells, stride, cut.offset)
        found = first + weight + cut.first_cell
        torch.testing.assert_close(found, whole[cut.start : cut.stop], rtol=0, atol=1e-4)


@many
@given(st.data(), st.integers(3, 150))
def test_what_is_read_makes_what_is_shown(data: st.DataObject, tile: int) -> None:
    axis = drawn(data)
    image = torch.arange(1, axis.pixels + 1, dtype=torch.float32).view(1, 1, -1, 1)
    canvas = axis.canvas
    # Columns as many as rows; one that lies in the image shows what rows are.
    whole = canvas.pad(image.expand(-1, -1, -1, axis.pixels))[0, 0, :, canvas.before]
    for cut in axis.cuts(tile):
        start, stop = cut.source
        assert 0 <= start < stop <= axis.pixels
        pixels = np.arange(start + 1, stop + 1, dtype=np.float32)
        if canvas.mirrored:
            shown = pixels[cut.shown_pixels() - start]
        else:
            shown = np.pad(pixels, cut.around)
        np.testing.assert_array_equal(shown, whole[cut.begin : cut.end].numpy())


@many
@given(st.data(), st.integers(1, 40), st.integers(1, 40))
def test_a_plan_covers_an_image_once(data: st.DataObject, height: int, width: int) -> None:
    rows, columns = drawn(data, 60), drawn(data, 60)
    plan = TilePlan.of(rows, columns, (height, width))
    covered = np.zeros(plan.size, int)
    for index, tile in enumerate(plan):
        assert tile == plan[index]
        assert tile.index == index
        top, left, high, wide = tile.core
        covered[top : top + high, left : left + wide] += 1
        assert tile.shape[0] <= plan.largest[0]
        assert tile.shape[1] <= plan.largest[1]
    assert (covered == 1).all()
    assert plan.shown_pixels == sum(tile.shape[0] * tile.shape[1] for tile in plan)
    with pytest.raises(IndexError):
        plan[len(plan)]


@many
@given(st.data(), st.integers(1, 20))
def test_pieces_of_cells_cover_all_cells_once(data: st.DataObject, count: int) -> None:
    axis = drawn(data)
    pieces = axis.cuts_of_cells(count)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == axis.cells
    for piece in pieces:
        assert piece.first_cell <= piece.start
        assert piece.stop <= piece.first_cell + piece.cells
