"""Stored values become class indices by one lookup, as a loop over the classes would make them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from perpixel.data.mask_encoding import (
    IGNORED,
    MaskEncoding,
    encode,
    pack_colour,
    unpack_colour,
)
from perpixel.labels import LabelSpace

SIZE = (37, 53)


def looped(stored: np.ndarray, encoding: MaskEncoding, labels: LabelSpace) -> np.ndarray:
    out = np.full(stored.shape, labels.ignore_index, np.int64)
    for value, to in encoding.mapping:
        out[stored == value] = labels.ignore_index if to == IGNORED else to
    return out


@pytest.mark.parametrize("kind", ["numbers", "colours"])
@pytest.mark.parametrize("classes", [1, 2, 11, 255, 256, 1000])
def test_a_lookup_is_a_loop_over_the_classes(
    kind: str, classes: int, rng: np.random.Generator
) -> None:
    most = {"numbers": 1 << 16, "colours": 1 << 24}[kind]
    values = rng.choice(most, classes + 3, replace=False)
    targets = [*range(classes), 0, IGNORED, IGNORED]
    mapping = tuple(zip(values.tolist(), targets, strict=True))
    labels = LabelSpace.of([f"class {n}" for n in range(classes)])
    stored = rng.choice(values, SIZE).astype({"numbers": np.uint16, "colours": np.uint32}[kind])
    for rest_ignored in (False, True):
        encoding = MaskEncoding(kind, mapping, rest_ignored)
        mask, strangers = encode(stored, pickle.loads(pickle.dumps(encoding)), labels)
        assert strangers == []
        assert mask.dtype == labels.mask_dtype
        np.testing.assert_array_equal(mask, looped(stored, encoding, labels))


def test_values_that_mean_nothing_are_named_as_they_are_stored(rng: np.random.Generator) -> None:
    labels = LabelSpace.of(["sky", "road"])
    stored = rng.choice(np.array([3, 9], np.uint8), SIZE)
    stored[5, 5:8] = 200, 0, 1
    mapping = ((3, 0), (9, 1))
    mask, strangers = MaskEncoding("numbers", mapping).apply(stored, labels)
    assert strangers == [0, 1, 200]
    np.testing.assert_array_equal(mask[:5], (stored[:5] == 9))
    mask, strangers = MaskEncoding("numbers", mapping, rest_ignored=True).apply(stored, labels)
    assert strangers == []
    assert mask[5, 5:8].tolist() == [255, 255, 255]
    # Without an encoding a value is its class, and a 16-bit one is never wrapped into it.
    assert encode(np.full(SIZE, 256, np.uint16), None, labels)[1] == [256]


def test_the_label_space_says_what_is_ignored() -> None:
    encoding = MaskEncoding("numbers", ((0, IGNORED), (7, 0)))
    stored = np.array([[0, 7]], np.uint8)
    for ignore_index in (1, 11, 255, 65_535):
        labels = LabelSpace.of(["one"], ignore_index)
        assert encoding.apply(stored, labels)[0].tolist() == [[ignore_index, 0]]


def test_colours_are_packed_and_unpacked() -> None:
    assert pack_colour((255, 128, 1)) == 0xFF8001
    assert unpack_colour(0xFF8001) == (255, 128, 1)
    assert MaskEncoding("colours", ()).describe(0xFF8001) == "(255, 128, 1)"
    assert MaskEncoding("numbers", ()).describe(7) == "7"
