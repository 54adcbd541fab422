"""The layout says of every pixel what `lookup` says of it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perpixel.kernels.cpu_layout import GROUP, columns, rows
from perpixel.kernels.cpu_vector import LANES
from perpixel.score_map import lookup

AXIS = {
    "pixels": st.integers(1, 200),
    "cells": st.integers(1, 40),
    "stride": st.floats(0.05, 60),
    "offset": st.floats(-50, 50),
}


@given(**AXIS)
def test_rows(pixels, cells, stride, offset):
    first, second, weight = (each.numpy() for each in lookup(pixels, cells, stride, offset))
    layout = rows(pixels, cells, stride, offset)
    height = np.diff(layout.start)
    assert (np.repeat(layout.first, height) == first).all()
    assert (np.repeat(layout.second, height) == second).all()
    assert (layout.weight == weight).all()
    assert (np.diff(layout.first) > 0).all()


@given(**AXIS)
def test_columns(pixels, cells, stride, offset):
    first, second, weight = (each.numpy() for each in lookup(pixels, cells, stride, offset))
    layout = columns(pixels, cells, stride, offset)
    copied = np.arange(layout.begin, layout.begin + layout.length)
    after = layout.pitch - layout.lead - layout.length
    cell = np.concatenate([np.zeros(layout.lead, int), copied, np.repeat(copied[-1:], after)])
    assert len(cell) == layout.pitch
    assert layout.lead == 0 or layout.begin == 0
    seen = set()
    for block, (start, end) in enumerate(zip(layout.start, layout.start[1:], strict=False)):
        for pixel in range(start, end):
            slot, lane = divmod(layout.place[pixel], LANES)
            assert slot < layout.groups[block] * GROUP <= layout.slots
            seen.add((block, slot, lane))
            found = layout.weight[(block * layout.slots + slot) * LANES + lane]
            left, right = cell[block * LANES + lane], cell[block * LANES + lane + 1]
            assert found == weight[pixel]
            if found > 0:
                assert (left, right) == (first[pixel], second[pixel])
            else:
                assert left == first[pixel]
    assert len(seen) == pixels
