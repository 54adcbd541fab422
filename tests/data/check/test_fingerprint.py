from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from data.check.right import picture
from perpixel.data.check.fingerprint import Fingerprint, fingerprint, near_copies

SIZE = (120, 161)


def of(pixels: np.ndarray) -> Fingerprint:
    return fingerprint(np.atleast_3d(pixels).transpose(2, 0, 1))


def compressed(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)


@pytest.mark.parametrize(
    "change",
    [
        compressed,
        lambda pixels: cv2.resize(pixels, (80, 60), interpolation=cv2.INTER_AREA),
        lambda pixels: np.clip(pixels * 0.8 + 20, 0, 255).astype(np.uint8),
        lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY),
        lambda pixels: pixels.astype(np.uint16) * 257,
        lambda pixels: pixels.astype(np.float32) / 255,
    ],
    ids=["compressed", "smaller", "brighter", "grey", "16 bits", "floats"],
)
def test_a_picture_is_known_again(change: Callable[[np.ndarray], np.ndarray]) -> None:
    pictures = [picture(seed, SIZE) for seed in range(8)]
    found = near_copies([of(p) for p in pictures], [of(change(p)) for p in pictures])
    assert found == [(at, at) for at in range(8)]
    digests = {of(p).digest for p in pictures} & {of(change(p)).digest for p in pictures}
    assert not digests


def test_other_pictures_are_no_copies() -> None:
    prints = [of(picture(seed, SIZE)) for seed in range(60)]
    assert near_copies(prints[:30], prints[30:]) == []
    assert len({one.digest for one in prints}) == 60


def test_the_hash_alone_does_not_make_a_copy() -> None:
    # The same gradients everywhere, so the same bits, but another picture.
    steep = np.tile(np.linspace(0, 255, SIZE[1]), (SIZE[0], 1)).astype(np.uint8)
    late = (255 * np.linspace(0, 1, SIZE[1]) ** 8 * np.ones((SIZE[0], 1))).astype(np.uint8)
    late = np.maximum(late, (steep / 12).astype(np.uint8))
    one, other = of(steep), of(late)
    assert one.bits == other.bits
    assert near_copies([one], [other]) == []


def test_flat_pictures_are_never_near_copies() -> None:
    rng = np.random.default_rng(0)
    flat = [(100 + 40 * k + rng.integers(0, 5, (*SIZE, 3))).astype(np.uint8) for k in range(3)]
    plain = np.full((*SIZE, 3), 7, np.uint8)
    prints = [of(pixels) for pixels in (*flat, plain)]
    assert near_copies(prints, prints) == []
    assert [one.single_value for one in prints] == [False, False, False, True]


def test_pixels_without_data_and_many_bands_are_no_hindrance() -> None:
    pixels = np.stack([picture(seed, SIZE)[:, :, 0] for seed in range(6)], 2).astype(np.float32)
    whole = of(pixels)
    pixels[:3, :3] = np.nan
    assert near_copies([whole], [of(pixels)]) == [(0, 0)]


def test_equal_numbers_of_another_shape_or_type_have_another_digest() -> None:
    pixels = np.zeros((4, 6, 1), np.uint8)
    wide = np.zeros((4, 3, 1), np.uint16)
    assert len({of(p).digest for p in (pixels, pixels.reshape(6, 4, 1), wide)}) == 3
