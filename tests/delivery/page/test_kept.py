"""Results are kept within a limit."""

from __future__ import annotations

import numpy as np
import pytest

from perpixel.delivery.page.kept import Kept
from perpixel.errors import DataError
from perpixel.inference.segmentation import Segmentation
from perpixel.labels import LabelSpace

LABELS = LabelSpace.of(("a", "b"))
# One byte of mask, four of confidence and three of image for each of ten pixels.
BYTES = 80


def result() -> Segmentation:
    return Segmentation(
        np.zeros((2, 5), np.uint8),
        LABELS,
        np.zeros((3, 2, 5), np.uint8),
        np.zeros((2, 5), np.float32),
    )


def test_a_result_is_found_by_its_key_alone() -> None:
    kept, one, other = Kept(), result(), result()
    first, second = kept.add(one), kept.add(other)
    assert kept.get(first) is one
    assert kept.get(second) is other
    assert len(first) > 16
    for wrong in (None, "", "guess"):
        with pytest.raises(DataError, match="no longer holds"):
            kept.get(wrong)


def test_those_that_nobody_looked_at_for_longest_are_forgotten() -> None:
    kept = Kept(largest_bytes=2 * BYTES)
    first, second = kept.add(result()), kept.add(result())
    kept.get(first)
    third = kept.add(result())
    kept.get(first)
    kept.get(third)
    with pytest.raises(DataError, match="no longer holds"):
        kept.get(second)


def test_the_newest_is_kept_however_large() -> None:
    kept = Kept(largest_bytes=BYTES // 2)
    kept.get(kept.add(result()))


def test_what_is_put_away_is_gone() -> None:
    kept, one = Kept(), result()
    key = kept.add(one)
    assert kept.pop(key) is one
    assert kept.pop(key) is None
    assert kept.pop(None) is None
    with pytest.raises(DataError, match="no longer holds"):
        kept.get(key)
