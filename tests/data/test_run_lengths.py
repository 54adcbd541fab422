"""COCO's run-length codes, against pycocotools."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from perpixel.data.run_lengths import decode_runs, encode_runs

MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: arrays(np.bool_, size, elements=st.booleans(), fill=st.booleans())
)


@given(MASKS)
def test_codes_are_those_of_pycocotools(mask: np.ndarray) -> None:
    code = reference.encode(np.asfortranarray(mask, np.uint8))
    assert encode_runs(mask, 0, 0, mask.shape) == code["counts"].decode()
    np.testing.assert_array_equal(decode_runs(code["counts"], mask.shape), mask)
    np.testing.assert_array_equal(decode_runs(code["counts"].decode(), mask.shape), mask)


def test_long_runs_and_regions_in_a_box(rng: np.random.Generator) -> None:
    mask = np.zeros((701, 503), np.bool_)
    mask[100:650, 37:400] = rng.random((550, 363)) < 0.97
    text = encode_runs(mask[100:650, 37:400], 100, 37, mask.shape)
    assert text == reference.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        again = reference.decode({"size": list(mask.shape), "counts": text.encode()})
    np.testing.assert_array_equal(again.astype(bool), mask)
    np.testing.assert_array_equal(decode_runs(text, mask.shape), mask)


def test_plain_lengths_are_read_and_have_to_fill_the_mask() -> None:
    expected = np.array([[0, 1, 0], [0, 1, 0]], np.bool_)
    np.testing.assert_array_equal(decode_runs([2, 2, 2], (2, 3)), expected)
    for wrong in ([2, 2], [2, -2, 6], [], "1"):
        with pytest.raises(ValueError, match="runs of"):
            decode_runs(wrong, (2, 3))
